// SPDX-License-Identifier: Apache-2.0
// The agent's HTTP API over its UNIX socket; wglanctl is its client. Only who may open the socket
// (root, or its group) is served; there is no other authorisation.
#pragma once

#include <memory>
#include <string>

#include "agent/control/views.h"
#include "agent/http/server.h"

namespace wglan {

struct ControlServerOptions {
    std::string socket = "/run/wglan/agent.sock";
    unsigned mode = 0600;
    int gid = -1;                          // group owner, -1 = leave
    const Clock* clock = &system_clock();  // for ages
};

// GET /v1/status, /v1/peers[?name=N], /v1/routes, /v1/explain?dst=&src=&proto=&sport=&dport=&mark=,
// /v1/record, /v1/keys, /v1/doctor (takes seconds); POST /v1/reload. Errors are {"error": text} with 400,
// 404, 405, 500, 503. GET /v1/monitor[?drops=1][&peer=NAME-or-key] goes on until the reader leaves: a JSON
// object a line. A stale socket file is replaced; `exists` ("another agent runs here") if one answers. The
// provider must outlive the server.
Result<std::unique_ptr<HttpServer>> make_control_server(asio::io_context& io, ControlServerOptions options,
                                                        ControlProvider& provider);

}  // namespace wglan
