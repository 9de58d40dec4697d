// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: TLS contexts, 1.2 and newer.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "agent/base/result.h"

namespace wglan::http {

// Verifies the other side against the PEM certificates of ca_file, or the system's where it is "".
Result<std::shared_ptr<boost::asio::ssl::context>> make_client_context(const std::string& ca_file);
Result<std::shared_ptr<boost::asio::ssl::context>> make_server_context(const std::string& certificate_file,
                                                                       const std::string& key_file);

}  // namespace wglan::http
