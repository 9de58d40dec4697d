// SPDX-License-Identifier: Apache-2.0
// deps: wglan_base
// Key and base64 codecs: only canonical text decodes, so encoding gives the input back.
#include <algorithm>
#include <cstdlib>

#include "agent/base/keys.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    if (!init_crypto()) std::abort();
    const std::span input(data, size);
    const auto text = as_text(input);
    if (const auto bytes = base64_decode(text); bytes && base64_encode(as_bytes(*bytes)) != text)
        std::abort();
    if (const auto bytes = base64url_decode(text); bytes && base64url_encode(as_bytes(*bytes)) != text)
        std::abort();
    if (const auto key = parse_public_key(text); key && to_string(*key) != text) std::abort();
    if (const auto key = parse_identity_key(text); key && to_string(*key) != text) std::abort();
    if (const auto key = parse_private_key(text); key && private_key_text(*key).size() != text.size())
        std::abort();
    if (base64_decode(base64_encode(input)).value() != text) std::abort();

    WipedKey key;
    if (open_sealed(key, text, "")) std::abort();  // a forgery
    IdentityKey identity;
    if (size >= 32) std::copy_n(data, 32, identity.bytes.begin());
    verify(identity, input, input.first(std::min<std::size_t>(size, 64)));
    return 0;
}
