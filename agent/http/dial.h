// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: opens client connections.
#pragma once

#include <memory>
#include <string>

#include "agent/http/client.h"
#include "agent/http/stream.h"

namespace wglan::http {

struct Target {
    Url url;
    std::string unix_path;                        // set = a UNIX socket, the URL only names the host
    std::shared_ptr<asio::ssl::context> context;  // for url.tls
    HttpClientOptions options;
};

// Looks up, connects to each address in turn, and does the TLS handshake; each of the three has
// options.connect_timeout, and none goes on past `overall`.
Task<Result<std::shared_ptr<ByteStream>>> dial(const Target& target, SteadyTime overall);

}  // namespace wglan::http
