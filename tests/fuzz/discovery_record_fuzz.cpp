// SPDX-License-Identifier: Apache-2.0
// deps: wglan_records
// Records and cache files: what decodes is canonical once encoded, and nothing crashes.
#include <cstdlib>

#include "agent/discovery/cache_file.h"

namespace {

const wglan::ClusterKeys& keys() {
    static const auto kKeys = [] {
        const std::string token = "a token for the fuzzer only";
        return wglan::ClusterKeys::derive(wglan::as_bytes(token), std::string(64, 'a')).value();
    }();
    return kKeys;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    if (!init_crypto()) std::abort();
    const auto text = as_text({data, size});
    if (const auto record = decode_record(text)) {
        const auto once = encode_record(*record);
        if (!once) std::abort();
        const auto twice = encode_record(decode_record(*once).value());
        if (!twice || *twice != *once) std::abort();
    }
    // The same text as the inside of a seal, so that the path behind the signatures is reached.
    const std::array<std::uint8_t, 32> seed{1};
    const auto node = identity_of(seed).value();
    if (size > 0 && size < kMaxPayload - 64) {
        const auto envelope = keys().sign_envelope(seed, node, 1, 0, 60, keys().seal_record(node, 1, text));
        (void)open_envelope(keys(), node, envelope);
        if (open_verified_envelope(keys(), node,
                                   keys().sign_envelope(seed, node, 1, 0, 60, std::string(text))))
            std::abort();  // a seal without the key
    }
    if (const auto cache = decode_cache(keys(), text, 0, true); cache && !encode_cache(keys(), cache->state))
        std::abort();
    return 0;
}
