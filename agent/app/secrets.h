// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/model/peer.h"
#include "agent/wireguard/wireguard.h"

namespace wglan {

// The keys that WireGuard needs, derived or read at the moment of use; only fingerprints are kept.
class AgentSecrets final : public WgSecrets {
public:
    void set_identity(const Secret* private_key, const PublicKey& public_key);
    void set_token(std::shared_ptr<const Secret> token, bool derive);

    // What the peer's preshared key will be; remembers the peer's file. A file that can't be read is an
    // error: the peer must not be configured without it.
    Result<SecretFingerprint> fingerprint_of(const Peer& peer);

    std::span<const std::uint8_t> private_key() const override;
    Result<std::optional<WipedKey>> preshared_key(const PublicKey& peer) const override;

private:
    struct Known {
        std::string file;
        bool none = false;  // nothing is derived and there is no file
        SecretFingerprint fingerprint;
    };
    const Secret* private_key_ = nullptr;
    PublicKey public_key_;
    std::shared_ptr<const Secret> token_;
    bool derive_ = true;
    std::map<PublicKey, Known> known_;
};

}  // namespace wglan
