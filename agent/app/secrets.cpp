// SPDX-License-Identifier: Apache-2.0
#include "agent/app/secrets.h"

#include <algorithm>

#include "agent/base/file.h"
#include "agent/discovery/psk.h"

namespace wglan {
namespace {

Result<WipedKey> read_key_file(const std::string& file) {
    auto text = read_secret_file(file);
    if (!text) return fail_with(text, "read the preshared key " + file);
    auto key = parse_private_key(text->text());
    if (!key) return fail_with(key, "preshared key " + file);
    WipedKey copy;
    std::copy(key->bytes().begin(), key->bytes().end(), copy.bytes.begin());
    return copy;
}

}  // namespace

void AgentSecrets::set_identity(const Secret* private_key, const PublicKey& public_key) {
    private_key_ = private_key;
    public_key_ = public_key;
}

void AgentSecrets::set_token(std::shared_ptr<const Secret> token, bool derive) {
    if (derive_ == derive && token_ && token && token->text() == token_->text()) return;
    token_ = std::move(token);
    derive_ = derive;
    known_.clear();
}

Result<SecretFingerprint> AgentSecrets::fingerprint_of(const Peer& peer) {
    // A peer without an agent derives nothing: it has the key of its file, or none.
    const bool none = peer.agentless && peer.preshared_key_file.empty();
    const auto it = known_.find(peer.public_key);
    if (it != known_.end() && it->second.file == peer.preshared_key_file && it->second.none == none)
        return it->second.fingerprint;
    known_[peer.public_key] = {peer.preshared_key_file, none, {}};
    auto key = preshared_key(peer.public_key);
    if (!key) {
        known_.erase(peer.public_key);
        return Failure(key.error());
    }
    SecretFingerprint& print = known_[peer.public_key].fingerprint;
    if (*key) print = fingerprint((*key)->bytes);
    return print;
}

std::span<const std::uint8_t> AgentSecrets::private_key() const { return private_key_->bytes(); }

Result<std::optional<WipedKey>> AgentSecrets::preshared_key(const PublicKey& peer) const {
    const auto it = known_.find(peer);
    const std::string file = it == known_.end() ? std::string() : it->second.file;
    if (it != known_.end() && it->second.none) return std::nullopt;
    if (!file.empty()) {
        auto key = read_key_file(file);
        if (!key) return Failure(key.error());
        return std::optional<WipedKey>(std::move(*key));
    }
    if (!derive_ || !token_) return std::nullopt;
    return std::optional<WipedKey>(derive_preshared_key(token_->bytes(), public_key_, peer));
}

}  // namespace wglan
