// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "agent/base/keys.h"

namespace wglan {

// The preshared key of a pair of peers, the same on both sides: HKDF-SHA256(token, salt empty,
// info "wglan/v1/psk\n" + the two public keys as raw bytes, the lower one first), 32 bytes.
WipedKey derive_preshared_key(std::span<const std::uint8_t> token, const PublicKey& one,
                              const PublicKey& other);

}  // namespace wglan
