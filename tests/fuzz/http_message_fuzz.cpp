// SPDX-License-Identifier: Apache-2.0
// deps: wglan_http
// HTTP messages, cut into pieces as a network would, for both sides; and URLs and queries.
#include <algorithm>
#include <cstdlib>

#include "agent/http/message.h"

namespace {

template <bool kIsRequest>
void parse(const std::uint8_t* data, std::size_t size, std::size_t piece) {
    constexpr std::size_t kLimit = 4096;
    wglan::http::MessageParser<kIsRequest> parser(1024, kLimit);
    parser.eager(true);
    wglan::http::ReadBuffer buffer(16384);
    for (std::size_t at = 0; at < size; at += piece) {
        const std::size_t count = std::min(piece, size - at);
        if (buffer.size() + count > buffer.max_size()) return;
        auto space = buffer.prepare(count);
        std::copy_n(data + at, count, static_cast<std::uint8_t*>(space.data()));
        buffer.commit(count);
        if (!parser.feed(buffer) || parser.is_done()) return;
        if (parser.body.size() > kLimit) std::abort();
    }
    (void)parser.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::size_t piece = 1U + data[0];
    if (data[1] % 3 == 0) parse<true>(data + 2, size - 2, piece);
    if (data[1] % 3 == 1) parse<false>(data + 2, size - 2, piece);
    if (data[1] % 3 == 2) {
        const std::string text(reinterpret_cast<const char*>(data + 2), size - 2);
        auto url = wglan::Url::parse(text);
        if (url) {
            auto again = wglan::Url::parse(url->to_string());
            if (!again || again->to_string() != url->to_string()) std::abort();
        }
        wglan::HttpRequest request;
        request.target = text;
        (void)request.query("since");
        (void)wglan::http::request_head(request, "h", "");
    }
    return 0;
}
