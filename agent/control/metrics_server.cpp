// SPDX-License-Identifier: Apache-2.0
#include "agent/control/metrics_server.h"

namespace wglan {
namespace {

HttpResponse plain(unsigned status, std::string body, const char* type = "text/plain; charset=utf-8") {
    HttpResponse response;
    response.status = status;
    response.headers["content-type"] = type;
    response.body = std::move(body);
    return response;
}

HttpResponse answer(ControlProvider& provider, const HttpRequest& request) {
    std::string path = request.path();
    if (path != "/metrics" && path != "/healthz" && path != "/readyz")
        return error_response(404, "no such page; there are /metrics, /healthz and /readyz");
    if (request.method != "GET") {
        auto response = error_response(405, path + " takes GET");
        response.headers["allow"] = "GET";
        return response;
    }
    if (path == "/healthz") return plain(200, "ok\n");
    if (path == "/metrics")
        return plain(200, metrics_text(provider.metrics()), "text/plain; version=0.0.4; charset=utf-8");
    auto readiness = provider.ready();
    return readiness.ready ? plain(200, "ready\n") : plain(503, "not ready: " + readiness.reason + "\n");
}

}  // namespace

Result<std::unique_ptr<HttpServer>> make_metrics_server(asio::io_context& io, Endpoint listen,
                                                        ControlProvider& provider) {
    HttpServerOptions http;
    http.max_connections = 64;
    auto handler = [&provider](const HttpRequest& request, HttpWriter&) -> Task<std::optional<HttpResponse>> {
        co_return answer(provider, request);
    };
    auto server = listen_tcp(io, listen, http, std::move(handler));
    if (!server) return fail_with(server, "metrics.listen " + listen.to_string());
    return server;
}

}  // namespace wglan
