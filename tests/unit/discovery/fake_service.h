// SPDX-License-Identifier: Apache-2.0
// A discovery service in the test's own process: as docs/discovery-protocol.md says, or misbehaving.
#pragma once

#include <deque>
#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/http/server.h"
#include "fixture.h"

namespace wglan::testing {

class FakeService {
public:
    // What is done to the next requests of a kind; empty = behave.
    struct State {
        asio::io_context& io;
        std::string epoch = "a";
        std::uint64_t revision = 0;
        std::map<IdentityKey, NodeEntry> nodes;
        std::optional<MemberKey> pinned;
        std::vector<std::string> log;  // "PUT 7", "DELETE 8", "LIST", "WATCH a-3"
        std::vector<std::pair<std::uint64_t, std::string>> events;   // revision, line
        std::deque<unsigned> put_status, list_status, watch_status;  // answers in place of the right one
        std::deque<std::string> list_body;
        bool silent_watch = false;   // opens, says nothing
        bool hang = false;           // accepts requests, answers none
        bool close_watches = false;  // ends every watch
        bool cut_list = false;       // closes in the middle of the body
        Milliseconds bookmark{20};
        std::uint64_t conflict_sequence = 0;  // with put_status 409
        std::set<asio::steady_timer*> waiting;

        explicit State(asio::io_context& loop) : io(loop) {}
        std::string at(std::uint64_t number) const { return epoch + "-" + std::to_string(number); }
        void wake() {
            for (auto* timer : waiting) timer->cancel();
        }
        void raw_line(std::string line) {
            events.emplace_back(++revision, std::move(line));
            wake();
        }
        void put(NodeEntry entry) {
            raw_line(watch_event_json({WatchEvent::Type::put, at(revision + 1), false, entry}));
            nodes[entry.node] = std::move(entry);
        }
        void tombstone(const NodeEntry& entry) {
            nodes.erase(entry.node);
            raw_line(watch_event_json({WatchEvent::Type::remove, at(revision + 1), false, entry}));
        }
        void expire(const IdentityKey& node) {
            nodes.erase(node);
            NodeEntry entry;
            entry.node = node;
            raw_line(watch_event_json({WatchEvent::Type::remove, at(revision + 1), true, entry}));
        }
        // As after a crash: nothing is left, and old revisions mean nothing.
        void restart_empty() {
            epoch += "x";
            revision = 0;
            nodes.clear();
            events.clear();
            pinned.reset();
            close_watches = true;
            wake();
        }
        std::size_t count(std::string_view prefix) const {
            std::size_t out = 0;
            for (const auto& line : log) out += line.starts_with(prefix) ? 1 : 0;
            return out;
        }
    };

    explicit FakeService(asio::io_context& io, std::uint16_t port = 0) : state(std::make_shared<State>(io)) {
        listen(port);
    }

    void listen(std::uint16_t port) {
        HttpServerOptions options;
        options.idle_timeout = Seconds{30};
        server_ = must(listen_tcp(state->io, {IpAddress::v4({127, 0, 0, 1}), port}, options,
                                  [state = state](const HttpRequest& request, HttpWriter& writer) {
                                      return handle(state, request, writer);
                                  }));
        port_ = server_->local().port;
    }
    // Nobody listens any more; what was stored stays.
    void go_down() { server_.reset(); }
    void come_back() { listen(port_); }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

    std::shared_ptr<State> state;

private:
    using Answer = std::optional<HttpResponse>;

    static Task<void> sleep(std::shared_ptr<State> state, Milliseconds delay) {
        asio::steady_timer timer(state->io, delay);
        state->waiting.insert(&timer);
        struct Remove {
            State& state;
            asio::steady_timer* timer;
            ~Remove() { state.waiting.erase(timer); }
        } remove{*state, &timer};
        boost::system::error_code ignored;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }

    static HttpResponse json(std::string body, unsigned status = 200) {
        HttpResponse response;
        response.status = status;
        response.body = std::move(body);
        return response;
    }

    static std::optional<unsigned> next(std::deque<unsigned>& queue) {
        if (queue.empty()) return std::nullopt;
        const auto status = queue.front();
        queue.pop_front();
        return status;
    }

    static Task<Answer> handle(std::shared_ptr<State> state, const HttpRequest& request, HttpWriter& writer) {
        while (state->hang) co_await sleep(state, Seconds{3600});
        if (request.method == "PUT" || request.method == "DELETE") co_return write(*state, request);
        if (request.query("watch")) co_return co_await watch(state, request, writer);
        co_return co_await list(state, writer);
    }

    static Answer write(State& state, const HttpRequest& request) {
        auto envelope = must(parse_envelope(request.body));
        state.log.push_back(request.method + " " + std::to_string(envelope.sequence));
        const auto node = must(parse_identity_key(request.path().substr(request.path().rfind('/') + 1)));
        if (auto status = next(state.put_status)) {
            if (*status == 409) return json(conflict_json("conflict", state.conflict_sequence), 409);
            return error_response(*status, "told to fail");
        }
        if (!state.pinned) state.pinned = envelope.member_key;
        if (!state.pinned || envelope.member_key != state.pinned)
            return error_response(403, "another member key");
        EXPECT_TRUE(verify_envelope(cluster_keys().cluster(), node, envelope, *state.pinned));
        const NodeEntry entry{node, envelope, request.client};
        if (const auto it = state.nodes.find(node); it != state.nodes.end()) {
            const auto& stored = it->second.envelope;
            if (envelope == stored) return json(put_answer_json({state.at(state.revision), request.client}));
            if (envelope.sequence <= stored.sequence)
                return json(conflict_json("lower", stored.sequence), 409);
        }
        if (request.method == "PUT")
            state.put(entry);
        else
            state.tombstone(entry);
        return json(put_answer_json({state.at(state.revision), request.client}));
    }

    static Task<Answer> list(std::shared_ptr<State> state, HttpWriter& writer) {
        state->log.push_back("LIST");
        if (auto status = next(state->list_status)) co_return error_response(*status, "told to fail");
        if (!state->list_body.empty()) {
            auto body = std::move(state->list_body.front());
            state->list_body.pop_front();
            co_return json(std::move(body));
        }
        std::vector<std::string> nodes;
        for (const auto& [node, entry] : state->nodes) nodes.push_back(node_entry_json(entry));
        auto body = node_list_json(state->at(state->revision), nodes, {});
        if (!state->cut_list) co_return json(std::move(body));
        state->cut_list = false;
        HttpResponse head;  // named: GCC 12 destroys aggregate temporaries of a co_await twice
        const bool started = (co_await writer.start(std::move(head))).has_value();
        const bool written =
            (co_await writer.write(std::string_view(body).substr(0, body.size() / 2))).has_value();
        EXPECT_TRUE(started && written);
        co_return std::nullopt;
    }

    static Task<Answer> watch(std::shared_ptr<State> state, const HttpRequest& request, HttpWriter& writer) {
        const auto since = request.query("since").value_or("");
        state->log.push_back("WATCH " + since);
        if (auto status = next(state->watch_status)) co_return error_response(*status, "told to fail");
        const auto dash = since.rfind('-');
        if (dash == std::string::npos || since.substr(0, dash) != state->epoch)
            co_return error_response(410, "gone");
        auto seen = std::stoull(since.substr(dash + 1));
        state->close_watches = false;
        HttpResponse head;
        if (!co_await writer.start(std::move(head))) co_return std::nullopt;
        while (!state->close_watches && writer.open()) {
            std::string lines;
            for (const auto& [revision, line] : state->events)
                if (revision > seen) {
                    lines += line + "\n";
                    seen = revision;
                }
            if (lines.empty() && !state->silent_watch)
                lines = watch_event_json({WatchEvent::Type::bookmark, state->at(seen), false, {}}) + "\n";
            if (!lines.empty() && !co_await writer.write(lines)) break;
            co_await sleep(state, state->bookmark);
        }
        co_return std::nullopt;
    }

    std::unique_ptr<HttpServer> server_;
    std::uint16_t port_ = 0;
};

}  // namespace wglan::testing
