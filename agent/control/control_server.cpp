// SPDX-License-Identifier: Apache-2.0
#include "agent/control/control_server.h"

#include "agent/control/doctor_view.h"
#include "agent/control/explain_query.h"
#include "agent/control/json.h"
#include "agent/control/monitor.h"

namespace wglan {
namespace {

HttpResponse json_response(const Json& json) {
    HttpResponse response;
    response.body = dump(json);
    return response;
}

unsigned status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid:
            return 400;
        case ErrorKind::not_found:
            return 404;
        case ErrorKind::conflict:
            return 409;
        case ErrorKind::exhausted:
            return 503;
        default:
            return 500;
    }
}

HttpResponse failed(const Error& error) { return error_response(status_of(error.kind()), error.message()); }

class Api {
public:
    Api(ControlProvider& provider, const Clock& clock) : provider_(provider), clock_(clock) {}

    Task<std::optional<HttpResponse>> serve(const HttpRequest& request, HttpWriter& writer) {
        const std::string path = request.path();
        if (request.method == "GET" && path == "/v1/doctor")
            co_return json_response(to_json(co_await provider_.doctor()));
        if (request.method != "GET" || path != "/v1/monitor") co_return answer(request);
        auto feed = provider_.monitor(monitor_request(request));
        if (!feed) co_return failed(feed.error());
        co_return co_await stream_monitor(std::move(*feed), writer);
    }

private:
    static MonitorRequest monitor_request(const HttpRequest& http) {
        return {http.query("drops").value_or("0") != "0", http.query("peer").value_or("")};
    }

    HttpResponse answer(const HttpRequest& request) {
        std::string path = request.path();
        bool reload = path == "/v1/reload";
        if (!reload && !readable(path)) return error_response(404, "no such call: " + path);
        const char* method = reload ? "POST" : "GET";
        if (request.method != method) {
            auto response = error_response(405, path + " takes " + method);
            response.headers["allow"] = method;
            return response;
        }
        return reload ? answer_reload() : answer_read(path, request);
    }

    static bool readable(std::string_view path) {
        for (auto known : {"/v1/status", "/v1/peers", "/v1/routes", "/v1/explain", "/v1/record", "/v1/keys",
                           "/v1/monitor", "/v1/doctor"})
            if (path == known) return true;
        return false;
    }

    HttpResponse answer_read(std::string_view path, const HttpRequest& request) {
        if (path == "/v1/status") return json_response(to_json(provider_.status(), clock_.unix_now()));
        if (path == "/v1/peers") return answer_peers(request.query("name"));
        if (path == "/v1/routes") return json_response(to_json(provider_.routes()));
        if (path == "/v1/explain") return answer_explain(request);
        if (path == "/v1/keys") return json_response(to_json(provider_.keys()));
        auto record = provider_.record();
        return record ? json_response(to_json(*record)) : failed(record.error());
    }

    HttpResponse answer_peers(const std::optional<std::string>& name) {
        auto status = provider_.status();
        Json peers = Json::array();
        for (const auto& peer : status.peers) {
            if (name && peer.name != *name && to_string(peer.public_key) != *name) continue;
            peers.push_back(to_json(peer, clock_.unix_now()));
        }
        if (name && peers.empty()) return error_response(404, "no peer named " + *name);
        return json_response({{"peers", std::move(peers)}});
    }

    HttpResponse answer_explain(const HttpRequest& http) {
        auto request = parse_explain_query(http);
        if (!request) return failed(request.error());
        auto explanation = provider_.explain(*request);
        if (!explanation) return failed(explanation.error());
        return json_response(to_json(*request, *explanation));
    }

    HttpResponse answer_reload() {
        auto done = provider_.reload();
        if (!done) return failed(done.error());
        return json_response({{"reloaded", true}});
    }

    ControlProvider& provider_;
    const Clock& clock_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> make_control_server(asio::io_context& io, ControlServerOptions options,
                                                        ControlProvider& provider) {
    HttpServerOptions http;
    http.max_connections = 64;
    http.unix_mode = options.mode;
    http.unix_gid = options.gid;
    auto handler = [api = std::make_shared<Api>(provider, *options.clock)](
                       const HttpRequest& request, HttpWriter& writer) -> Task<std::optional<HttpResponse>> {
        return api->serve(request, writer);
    };
    auto server = listen_unix(io, options.socket, http, std::move(handler));
    if (server) return server;
    std::string phrase = "control socket " + options.socket;
    if (server.error().kind() == ErrorKind::exists) phrase += ": another agent runs here";
    return fail_with(server, phrase);
}

}  // namespace wglan
