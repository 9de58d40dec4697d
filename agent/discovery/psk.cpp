// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/psk.h"

#include <algorithm>

namespace wglan {

WipedKey derive_preshared_key(std::span<const std::uint8_t> token, const PublicKey& one,
                              const PublicKey& other) {
    std::string info = "wglan/v1/psk\n";
    info += as_text(std::min(one, other).bytes);
    info += as_text(std::max(one, other).bytes);
    return hkdf_sha256(token, {}, info);
}

}  // namespace wglan
