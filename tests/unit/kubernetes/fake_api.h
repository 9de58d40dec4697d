// SPDX-License-Identifier: Apache-2.0
// An API server in the test's own process: Nodes alone, with the answers that a real one (1.36) was seen to
// give, or misbehaving.
#pragma once

#include <deque>
#include <set>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "agent/http/server.h"
#include "tests/support/event_loop.h"
#include "tests/support/gzip.h"
#include "tests/unit/discovery/fixture.h"

namespace wglan::testing {

using nlohmann::json;

class FakeApi {
public:
    struct State {
        asio::io_context& io;
        std::map<std::string, json> nodes;
        std::uint64_t revision = 100;
        std::uint64_t compacted = 0;  // what came before is forgotten
        std::vector<std::pair<std::uint64_t, std::string>> events;
        std::vector<std::string> log;  // "LIST", "LIST more", "WATCH 104", "PATCH node1"
        std::vector<json> patches;
        std::string token = "secret";
        std::size_t page = 1000;  // at most so many items, whatever is asked for
        bool may_patch = true;
        std::function<void()> before_patch;  // called once, when a patch has come and isn't looked at yet
        // What an agent can do without: 403 as long as they are empty, or not allowed.
        json slice;  // the `kubernetes` EndpointSlice
        bool may_tell = false;
        std::size_t slice_requests = 0;
        std::vector<std::pair<std::string, json>> told;  // "POST events", "PATCH events/NAME", "PATCH status"
        std::deque<unsigned> told_status;
        // Answers in the place of the right ones; 0 = the right one.
        std::deque<unsigned> list_status, watch_status, patch_status;
        Milliseconds patch_delay{0};  // the answer comes late: a watch may tell more before it does
        std::string retry_after;
        std::size_t cut_list = 0;    // so many lists are cut in the middle
        bool silent_watch = false;   // opens, says nothing
        bool close_watches = false;  // ends every watch
        std::set<asio::steady_timer*> waiting;

        explicit State(asio::io_context& loop) : io(loop) {}
        void wake() {
            for (auto* timer : waiting) timer->cancel();
        }
        void event(const char* type, const json& object) {
            events.emplace_back(revision, json{{"type", type}, {"object", object}}.dump());
            wake();
        }
        void raw(std::string line) {
            events.emplace_back(++revision, std::move(line));
            wake();
        }
        // Made or changed.
        void put(json node) {
            const auto name = node["metadata"]["name"].get<std::string>();
            node["metadata"]["resourceVersion"] = std::to_string(++revision);
            const bool there = nodes.contains(name);
            nodes[name] = std::move(node);
            event(there ? "MODIFIED" : "ADDED", nodes[name]);
        }
        void remove(const std::string& name) {
            auto node = nodes.extract(name).mapped();
            node["metadata"]["resourceVersion"] = std::to_string(++revision);
            event("DELETED", node);
        }
        void put_slice(const std::vector<std::string>& addresses) {
            json endpoints = json::array();
            for (const auto& address : addresses) endpoints.push_back({{"addresses", {address}}});
            slice = {{"metadata", {{"name", "kubernetes"}, {"resourceVersion", std::to_string(++revision)}}},
                     {"addressType", "IPv4"},
                     {"endpoints", endpoints},
                     {"ports", {{{"name", "https"}, {"port", 6443}, {"protocol", "TCP"}}}}};
            wake();
        }
        void bookmark() {
            event("BOOKMARK",
                  {{"kind", "Node"}, {"metadata", {{"resourceVersion", std::to_string(++revision)}}}});
        }
        void compact() {
            compacted = revision;
            events.clear();
        }
        void end_watches() {
            close_watches = true;
            wake();
        }
        std::size_t count(std::string_view prefix) const {
            std::size_t out = 0;
            for (const auto& line : log) out += line.starts_with(prefix) ? 1 : 0;
            return out;
        }
    };

    // Until news, or 5 s; a coroutine that is cancelled leaves by an exception.
    struct Waiting {
        State& state;
        std::unique_ptr<asio::steady_timer> timer;

        explicit Waiting(State& where)
            : state(where), timer(std::make_unique<asio::steady_timer>(where.io, Seconds{5})) {
            state.waiting.insert(timer.get());
        }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        ~Waiting() { state.waiting.erase(timer.get()); }
    };

    explicit FakeApi(asio::io_context& io) : state(std::make_shared<State>(io)) { listen(0); }
    void listen(std::uint16_t port) {
        HttpServerOptions options;
        options.idle_timeout = Seconds{30};
        server_ = must(listen_tcp(state->io, {IpAddress::v4({127, 0, 0, 1}), port}, options,
                                  [state = state](const HttpRequest& request, HttpWriter& writer) {
                                      return handle(state, request, writer);
                                  }));
        port_ = server_->local().port;
    }
    void go_down() { server_.reset(); }
    void come_back() { listen(port_); }
    std::uint16_t port() const { return port_; }

    std::shared_ptr<State> state;

private:
    using Answer = std::optional<HttpResponse>;

    static HttpResponse say(unsigned status, const json& body) {
        HttpResponse response;
        response.status = status;
        response.body = body.dump();
        return response;
    }
    static HttpResponse refuse(const std::shared_ptr<State>& state, unsigned status, const std::string& why) {
        auto response = say(status, {{"kind", "Status"}, {"code", status}, {"message", why}});
        if (!state->retry_after.empty()) response.headers["retry-after"] = state->retry_after;
        return response;
    }
    static unsigned take(std::deque<unsigned>& queue) {
        if (queue.empty()) return 0;
        const unsigned status = queue.front();
        queue.pop_front();
        return status;
    }

    static Task<Answer> handle(std::shared_ptr<State> state, HttpRequest request, HttpWriter& writer) {
        const auto authorization = request.headers.find("authorization");
        if (authorization == request.headers.end()) co_return refuse(state, 403, "anonymous");
        if (authorization->second != "Bearer " + state->token) co_return refuse(state, 401, "Unauthorized");
        if (request.path().find("/endpointslices") != std::string::npos)
            co_return co_await slices(state, request, writer);
        if (request.method == "POST" || request.path().ends_with("/status") ||
            request.path().find("/events/") != std::string::npos)
            co_return take_news(state, request);
        if (request.method == "PATCH") {
            auto answer = patch(state, request);
            if (state->patch_delay.count() > 0) co_await test::sleep_for(state->patch_delay);
            co_return answer;
        }
        if (request.query("watch") == "true") co_return co_await watch(state, request, writer);
        if (request.path() != "/api/v1/nodes") co_return look(state, request);
        co_return list(state, request);
    }

    static HttpResponse look(const std::shared_ptr<State>& state, const HttpRequest& request) {
        const auto name = request.path().substr(std::string_view("/api/v1/nodes/").size());
        state->log.push_back("GET " + name);
        const auto it = state->nodes.find(name);
        if (it == state->nodes.end()) return refuse(state, 404, "nodes \"" + name + "\" not found");
        return say(200, it->second);
    }

    // As of any object whose new state isn't valid: patches know no precondition.
    static HttpResponse refuse_uid(const std::shared_ptr<State>& state, const std::string& name) {
        return refuse(state, 422,
                      "Node \"" + name + "\" is invalid: metadata.uid: Invalid value: field is immutable");
    }

    static HttpResponse list(const std::shared_ptr<State>& state, const HttpRequest& request) {
        const auto from = request.query("continue").value_or("");
        const bool one = request.query("limit") == "1";
        state->log.push_back(one ? "LOOK" : from.empty() ? "LIST" : "LIST more");
        if (const auto status = take(state->list_status)) return refuse(state, status, "as the test says");
        std::size_t most = state->page;
        if (const auto limit = request.query("limit")) most = std::min<std::size_t>(most, std::stoul(*limit));
        json items = json::array();
        std::string next;
        for (auto it = from.empty() ? state->nodes.begin() : state->nodes.lower_bound(from);
             it != state->nodes.end(); ++it) {
            if (items.size() == most) {
                next = it->first;
                break;
            }
            items.push_back(it->second);
            items.back().erase("kind");
        }
        json metadata = {{"resourceVersion", std::to_string(state->revision)}};
        if (!next.empty()) metadata["continue"] = next;
        auto response = say(200, {{"kind", "NodeList"}, {"metadata", metadata}, {"items", items}});
        const auto accepts = request.headers.find("accept-encoding");
        if (accepts != request.headers.end() && accepts->second == "gzip" && response.body.size() > 1000) {
            response.body = test::gzip(response.body);
            response.headers["content-encoding"] = "gzip";
        }
        if (state->cut_list > 0) {
            --state->cut_list;
            response.body.resize(response.body.size() / 2);
        }
        return response;
    }

    // Outside of the coroutine: GCC 12 can't have initializer lists there.
    static std::string too_old() {
        const json object = {{"kind", "Status"},
                             {"code", 410},
                             {"reason", "Expired"},
                             {"message", "too old resource version"}};
        return json{{"type", "ERROR"}, {"object", object}}.dump() + "\n";
    }

    static Task<Answer> watch(std::shared_ptr<State> state, HttpRequest request, HttpWriter& writer) {
        auto at = std::stoull(request.query("resourceVersion").value_or("0"));
        state->log.push_back("WATCH " + std::to_string(at));
        if (const auto status = take(state->watch_status))
            co_return refuse(state, status, "as the test says");
        HttpResponse head;
        co_await writer.start(std::move(head));
        if (at < state->compacted) {
            const auto line = too_old();
            co_await writer.write(line);
            co_return std::nullopt;
        }
        state->close_watches = false;
        writer.on_close([state] { state->wake(); });
        while (writer.open() && !state->close_watches) {
            for (std::size_t i = 0; i < state->events.size() && !state->silent_watch; ++i) {
                if (state->events[i].first <= at) continue;
                at = state->events[i].first;
                const std::string line = state->events[i].second + "\n";
                co_await writer.write(line);
            }
            const Waiting waiting(*state);
            boost::system::error_code ignored;
            co_await waiting.timer->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        }
        co_return std::nullopt;
    }

    static std::string slice_line(const json& slice) {
        return json{{"type", "MODIFIED"}, {"object", slice}}.dump() + "\n";
    }

    static HttpResponse slice_list(const State& state) {
        return say(200, {{"kind", "EndpointSliceList"},
                         {"metadata", {{"resourceVersion", std::to_string(state.revision)}}},
                         {"items", json::array({state.slice})}});
    }

    static Task<Answer> slices(std::shared_ptr<State> state, HttpRequest request, HttpWriter& writer) {
        ++state->slice_requests;
        if (state->slice.is_null()) co_return refuse(state, 403, "endpointslices is forbidden");
        if (request.query("fieldSelector") != "metadata.name=kubernetes")
            co_return refuse(state, 403, "endpointslices is forbidden but for one name");
        if (request.query("watch") != "true") co_return slice_list(*state);
        HttpResponse head;
        co_await writer.start(std::move(head));
        writer.on_close([state] { state->wake(); });
        auto at = std::stoull(request.query("resourceVersion").value_or("0"));
        while (writer.open()) {
            const auto revision = std::stoull(state->slice["metadata"]["resourceVersion"].get<std::string>());
            if (revision > at) {
                at = revision;
                const std::string line = slice_line(state->slice);
                co_await writer.write(line);
            }
            const Waiting waiting(*state);
            boost::system::error_code ignored;
            co_await waiting.timer->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        }
        co_return std::nullopt;
    }

    // Events, and conditions by a strategic merge patch.
    static HttpResponse take_news(const std::shared_ptr<State>& state, const HttpRequest& request) {
        const bool status = request.path().ends_with("/status");
        const auto name = request.path().substr(request.path().rfind('/') + 1);
        state->told.emplace_back(request.method + " " +
                                     (status                     ? "status"
                                      : request.method == "POST" ? "events"
                                                                 : "events/" + name),
                                 json::parse(request.body));
        if (!state->may_tell) return refuse(state, 403, "events is forbidden");
        if (const auto answer = take(state->told_status)) return refuse(state, answer, "as the test says");
        const auto type = request.headers.find("content-type");
        const std::string wanted = status                     ? "application/strategic-merge-patch+json"
                                   : request.method == "POST" ? "application/json"
                                                              : "application/merge-patch+json";
        if (type == request.headers.end() || type->second != wanted) return refuse(state, 415, "wrong type");
        if (!status) return say(201, state->told.back().second);
        const auto node = request.path().substr(std::string_view("/api/v1/nodes/").size());
        auto changed = state->nodes.at(node.substr(0, node.find('/')));
        const auto& said = state->told.back().second;
        if (said.contains("metadata") && said["metadata"].value("uid", "") != changed["metadata"]["uid"])
            return refuse_uid(state, changed["metadata"]["name"]);
        auto& conditions = changed["status"]["conditions"];
        if (!conditions.is_array()) conditions = json::array();
        for (const auto& condition : said["status"]["conditions"]) {
            std::erase_if(conditions.get_ref<json::array_t&>(),
                          [&](const json& there) { return there["type"] == condition["type"]; });
            if (!condition.contains("$patch")) conditions.push_back(condition);
        }
        state->put(changed);
        return say(200, changed);
    }

    static HttpResponse patch(const std::shared_ptr<State>& state, const HttpRequest& request) {
        const auto name = request.path().substr(std::string_view("/api/v1/nodes/").size());
        state->log.push_back("PATCH " + name);
        if (const auto first = std::exchange(state->before_patch, nullptr)) first();
        if (const auto status = take(state->patch_status)) return refuse(state, status, "as the test says");
        if (!state->may_patch) return refuse(state, 403, "nodes \"" + name + "\" is forbidden");
        const auto type = request.headers.find("content-type");
        if (type == request.headers.end() || type->second != "application/merge-patch+json")
            return refuse(state, 415, "the body of the request was in an unknown format");
        const auto it = state->nodes.find(name);
        if (it == state->nodes.end()) return refuse(state, 404, "nodes \"" + name + "\" not found");
        const auto body = json::parse(request.body);
        state->patches.push_back(body);
        auto node = it->second;
        const auto uid = node["metadata"]["uid"];
        node.merge_patch(body);
        if (node["metadata"]["uid"] != uid) return refuse_uid(state, name);
        if (node != it->second) state->put(node);
        return say(200, state->nodes[name]);
    }

    std::unique_ptr<HttpServer> server_;
    std::uint16_t port_ = 0;
};

}  // namespace wglan::testing
