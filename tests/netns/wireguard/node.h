// SPDX-License-Identifier: Apache-2.0
// A host with a WireGuard device that the tests drive through a backend.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "agent/wireguard/wireguard.h"
#include "tests/support/netns.h"

namespace wglan::test {

inline constexpr char kDevice[] = "wg0";

struct NodeSecrets final : WgSecrets {
    Secret own = make_private_key();
    std::map<PublicKey, std::array<std::uint8_t, 32>> preshared;

    std::span<const std::uint8_t> private_key() const override { return own.bytes(); }
    Result<std::optional<WipedKey>> preshared_key(const PublicKey& peer) const override;
};

// Calls fail the test, and give back an empty value, where the backend does.
class Node {
public:
    // backend: "kernel" or "userspace".
    explicit Node(const std::string& backend);
    ~Node();

    WireGuard& backend() { return *backend_; }
    void new_backend();  // as a restarted agent has it
    PublicKey key() const { return public_key_of(secrets.private_key()).value(); }

    bool ensure();  // true = made now
    void configure(std::uint16_t port);
    // ensure(), configure(), addresses ("10.9.0.1/32"), up, and a route for 10.9.0.0/16.
    void start(std::uint16_t port, const std::vector<std::string>& addresses);
    void apply(const std::vector<WgPeerChange>& changes);
    WgDevice dump();
    // The one peer's entry.
    WgObservedPeer peer(const PublicKey& key);
    Result<> result_of(const std::function<Result<>(WireGuard&)>& call) const;

    Host host;
    NodeSecrets secrets;

private:
    std::string kind_;
    std::unique_ptr<WireGuard> backend_;
};

WgPeerChange add_peer(const PublicKey& key, const std::string& endpoint,
                      const std::vector<std::string>& prefixes);
WgPeerChange update_peer(const PublicKey& key);
std::vector<Prefix> prefixes_of(const std::vector<std::string>& texts);

// Each of the suite's tests, with both backends.
class WithBackend : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override;
};

// Skips the test where namespaces or wireguard-go can't be had.
class WithUserspace : public testing::Test {
protected:
    void SetUp() override;
};

}  // namespace wglan::test
