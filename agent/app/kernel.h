// SPDX-License-Identifier: Apache-2.0
// The acting side: observes the kernel through the adapters, and applies plans to it.
#pragma once

#include <string>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/netlink/netlink.h"
#include "agent/reconcile/plan.h"
#include "agent/wireguard/wireguard.h"

namespace wglan {

// `exists`, with the mend, unless the interface is ours: signed by its alias or holding our key.
// `unsigned_ours`: one without alias, key and peers counts too, as this host's agent had begun to make it.
Result<> check_owner(const Link& link, const std::optional<WgDevice>& device, const PublicKey& own_key,
                     bool unsigned_ours);

// The data plane's part of an observation.
void take_steering(DataplaneState state, Observed& seen);

class Kernel {
public:
    Kernel(Netlink& netlink, WireGuard& wireguard, Dataplane& dataplane, const WgSecrets& secrets,
           std::string interface, PublicKey own_key)
        : netlink_(netlink),
          wireguard_(wireguard),
          dataplane_(dataplane),
          secrets_(secrets),
          interface_(std::move(interface)),
          own_key_(own_key) {}

    void set_unsigned_ours(bool ours) { unsigned_ours_ = ours; }

    // Complete dumps of all parts. `exists` where the interface's name is taken by something that
    // isn't ours.
    Result<Observed> observe();

    struct Outcome {
        bool complete = true;             // every step was done
        bool observe_again = false;       // the device was made: the rest needs its ifindex
        std::vector<std::string> errors;  // what went wrong, for the log and the status
        std::vector<Attachment> attached;
    };
    // Steps in order. A step that others build on stops the plan when it fails; a route or setting
    // that can't be had does not.
    Outcome apply(const Plan& plan);

private:
    Result<> run(const Step& step, Outcome& outcome);
    Result<> create(Outcome& outcome);
    Result<int> ifindex();
    void ask_for_threads();

    Netlink& netlink_;
    WireGuard& wireguard_;
    Dataplane& dataplane_;
    const WgSecrets& secrets_;
    std::string interface_;
    PublicKey own_key_;
    int ifindex_ = 0;
    bool threads_asked_ = false;
    bool unsigned_ours_ = false;
};

}  // namespace wglan
