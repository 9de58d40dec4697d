// SPDX-License-Identifier: Apache-2.0
// Thin HTTP/1.1 on Beast: what client and server have in common.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "agent/base/ip.h"
#include "agent/base/result.h"

namespace wglan {

namespace asio = boost::asio;
template <class T>
using Task = asio::awaitable<T>;

using HttpHeaders = std::map<std::string, std::string>;  // names in lower case

struct HttpRequest {
    std::string method = "GET";
    std::string target;  // path and query, as on the wire (percent-encoded)
    HttpHeaders headers;
    std::string body;
    std::optional<IpAddress> client;  // server side: the caller's address; none on a UNIX socket

    std::string path() const;                                      // without the query, not decoded
    std::optional<std::string> query(std::string_view key) const;  // decoded value
};

struct HttpResponse {
    unsigned status = 200;
    HttpHeaders headers;  // content-type defaults to application/json
    std::string body;
};

// scheme http or https; host is a name or an address (IPv6 without brackets).
struct Url {
    bool tls = false;
    std::string host;
    std::uint16_t port = 0;
    std::string path;  // "" or "/..." without a trailing slash

    static Result<Url> parse(std::string_view text);
    std::string to_string() const;
};

}  // namespace wglan
