// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: HTTP/1.1 messages from and to bytes. Pure.
#pragma once

#include <string>
#include <string_view>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "agent/http/http.h"

namespace wglan::http {

using ReadBuffer = boost::beast::flat_buffer;

// Takes bytes as they come. The body collects in `body`; a reader of a stream may empty it meanwhile.
template <bool kIsRequest>
class MessageParser final : public boost::beast::http::basic_parser<kIsRequest> {
public:
    MessageParser(std::size_t max_header, std::size_t max_body);

    std::string method, target;  // requests
    bool http_1_0 = false;       // requests
    unsigned status = 0;         // responses
    HttpHeaders headers;         // repeated ones joined with ", "
    std::string body;

    // Consumes what it can use of the buffer. Kinds: exhausted (a limit), protocol.
    Result<> feed(ReadBuffer& buffer);
    // The other side closed; fine only where that ends the body.
    Result<> finish();
    // Which limit an `exhausted` meant.
    bool header_too_long() const { return header_too_long_; }

private:
    using Code = boost::beast::error_code;
    using Text = boost::beast::string_view;
    using Length = boost::optional<std::uint64_t>;
    void on_request_impl(boost::beast::http::verb, Text name, Text where, int version, Code&) override;
    void on_response_impl(int code, Text, int, Code&) override { status = static_cast<unsigned>(code); }
    void on_field_impl(boost::beast::http::field, Text name, Text value, Code&) override;
    void on_header_impl(Code&) override {}
    void on_body_init_impl(const Length&, Code&) override {}
    std::size_t on_body_impl(Text text, Code&) override;
    void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, Text text, Code&) override;
    void on_finish_impl(Code&) override {}

    bool header_too_long_ = false;
};

using RequestParser = MessageParser<true>;
using ResponseParser = MessageParser<false>;
inline constexpr std::size_t kNoBodyLimit = static_cast<std::size_t>(-1);

// The request's bytes up to its body. invalid where a header or the target could break the framing.
Result<std::string> request_head(const HttpRequest& request, std::string_view host,
                                 std::string_view base_path);
// `framing`: content-length or transfer-encoding, "" for neither.
std::string response_head(const HttpResponse& response, const std::string& framing, bool keep_alive);
std::string chunk(std::string_view bytes);

}  // namespace wglan::http
