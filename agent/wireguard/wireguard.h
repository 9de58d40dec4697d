// SPDX-License-Identifier: Apache-2.0
// The narrow interface to a WireGuard implementation. Calls are short and synchronous (each
// kernel request waits for its acknowledgement, at most 2 s).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/wireguard.h"

namespace wglan {

// Hands out what changes need and values must not hold.
struct WgSecrets {
    virtual ~WgSecrets() = default;
    // 32 bytes, valid during the call only.
    virtual std::span<const std::uint8_t> private_key() const = 0;
    // nullopt = none (clears it).
    virtual Result<std::optional<WipedKey>> preshared_key(const PublicKey& peer) const = 0;
};

class WireGuard {
public:
    virtual ~WireGuard() = default;

    virtual std::string_view backend() const = 0;  // "kernel" or "userspace"

    // Makes the device if it is missing (kernel: through the LinkMaker; userspace: starts
    // wireguard-go detached from the agent, or adopts a running one). `exists` if a device of
    // that name is there that this backend can't drive. True = it was made now.
    virtual Result<bool> ensure_device() = 0;
    // Removes it: the kernel's link through the LinkMaker; ends wireguard-go. Idempotent.
    virtual Result<> remove_device() = 0;
    // not_found where there is no device (or its process died).
    virtual Result<WgDevice> dump() = 0;
    virtual Result<> configure(const WgDeviceChange& change, const WgSecrets& secrets) = 0;
    // Applies the changes in order, in as few messages as fit. A failed one is reported with the
    // peer's key; the ones before it stay applied.
    virtual Result<> apply(const std::vector<WgPeerChange>& changes, const WgSecrets& secrets) = 0;
    // This host's addresses or routes changed: peers are sent to from where the host's routes say now, not
    // from where they last spoke to us. The kernel's does that by itself. `peers`: these alone, or all.
    virtual Result<> forget_sources(const WgSecrets&, const std::vector<PublicKey>& peers) {
        static_cast<void>(peers);
        return {};
    }
};

// Creation and removal of links belong to agent/netlink; app wires them in.
struct LinkMaker {
    std::function<Result<>(const std::string& name)> create_wireguard;
    std::function<Result<>(const std::string& name)> remove;
};

// True if this kernel has WireGuard (its generic netlink family answers, loading the module if it can).
bool kernel_wireguard_available();
std::unique_ptr<WireGuard> make_kernel_wireguard(std::string interface, LinkMaker links);
// program: path of wireguard-go ("" = found in PATH).
std::unique_ptr<WireGuard> make_userspace_wireguard(std::string interface, std::string program = {});
// One that something else runs, beside the agent: ensure_device() waits for it (the first time 30 s, later 2
// s) and starts none; not_found without it.
std::unique_ptr<WireGuard> make_external_wireguard(std::string interface);

}  // namespace wglan
