// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: TLS contexts, 1.2 and newer.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "agent/base/result.h"
#include "agent/http/client.h"

namespace wglan::http {

// Verifies the other side as the options say, and shows the client's certificate where there is one.
Result<std::shared_ptr<boost::asio::ssl::context>> make_client_context(const HttpClientOptions& options);
Result<std::shared_ptr<boost::asio::ssl::context>> make_server_context(const std::string& certificate_file,
                                                                       const std::string& key_file);

}  // namespace wglan::http
