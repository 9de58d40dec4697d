// SPDX-License-Identifier: Apache-2.0
// deps: wglan_reach
// Datagrams of peers and of strangers: what is taken for a message reads the same when it is written again.
#include <cstdlib>

#include "agent/reach/reach_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    const std::span bytes(data, size);
    const auto request = decode_reach_request(bytes);
    const auto answer = decode_reach_answer(bytes);
    if (request && answer) std::abort();
    if (request && decode_reach_request(encode_reach_request(*request)) != request) std::abort();
    if (answer &&
        (answer->targets.size() > kMostKnocks || decode_reach_answer(encode_reach_answer(*answer)) != answer))
        std::abort();
    if (const auto knock = decode_knock(bytes); knock && decode_knock(encode_knock(*knock)) != knock)
        std::abort();
    return 0;
}
