// SPDX-License-Identifier: Apache-2.0
// deps: wglan_wireguard
// What a process on the UAPI socket answers, whole and in pieces: both must come to the same.
#include <cstdlib>

#include "agent/wireguard/uapi_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    wglan::UapiReply whole;
    const auto at_once = whole.feed(text);

    wglan::UapiReply pieces;
    wglan::Result<bool> in_pieces = false;
    for (std::size_t at = 0; at < size && in_pieces; at += 3) in_pieces = pieces.feed(text.substr(at, 3));

    if (at_once.has_value() != in_pieces.has_value()) std::abort();
    if (!at_once || !*at_once) return 0;
    const auto first = whole.take();
    const auto second = pieces.take();
    if (!first || !second || first->peers.size() != second->peers.size()) std::abort();
    return 0;
}
