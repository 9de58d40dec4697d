// SPDX-License-Identifier: Apache-2.0
// The Plan: what has to change, in an order in which no packet is lost or leaves in clear text.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "agent/reconcile/state.h"

namespace wglan {

namespace step {
struct CreateInterface {
    std::string name;
};  // the rest of the plan needs a new observation
struct ConfigureWireGuard {
    WgDeviceChange change;
};
struct SetMtu {
    std::uint32_t mtu;
};
struct SetNoLinkLocal {};
struct SetUp {};
struct SetRpFilter {
    int mode;
};
struct SetForwarding {
    Family family;
};
struct AddAddress {
    DesiredAddress address;
};
struct RemoveAddress {
    DesiredAddress address;
};
struct ChangePeers {
    std::vector<WgPeerChange> changes;
};
struct PutSteerConfig {
    SteerConfig config;
};
struct PutSteerPeers {
    std::vector<SteerPeer> peers;
};
struct RemoveSteerPeers {
    std::vector<PeerId> ids;
};
struct PutSteerEndpoints {
    std::vector<SteerEndpoint> endpoints;
};
struct RemoveSteerEndpoints {
    std::vector<SteerEndpoint> endpoints;
};
struct PutSteerRoutes {
    std::vector<SteerRoute> routes;
};
struct RemoveSteerRoutes {
    std::vector<Prefix> prefixes;
};
struct AttachUplink {
    Uplink uplink;
};
struct AttachTunnel {
    Uplink tunnel;
    bool direct = false;
};
struct DetachUplink {
    int ifindex;
    std::string name;
};
struct PutPods {
    std::vector<PodDevice> devices;
    std::set<MacAddress> macs;  // all of them
};
struct RemovePods {
    std::vector<PodDevice> devices;
};
struct SetOwnPods {
    std::set<Prefix> own;
};
struct AddRoute {
    Route route;
};
struct RemoveRoute {
    Route route;
};
}  // namespace step

using Step =
    std::variant<step::CreateInterface, step::ConfigureWireGuard, step::SetMtu, step::SetNoLinkLocal,
                 step::SetUp, step::SetRpFilter, step::SetForwarding, step::AddAddress, step::RemoveAddress,
                 step::ChangePeers, step::PutSteerConfig, step::PutSteerPeers, step::RemoveSteerPeers,
                 step::PutSteerEndpoints, step::RemoveSteerEndpoints, step::PutSteerRoutes,
                 step::RemoveSteerRoutes, step::AttachUplink, step::AttachTunnel, step::DetachUplink,
                 step::PutPods, step::RemovePods, step::SetOwnPods, step::AddRoute, step::RemoveRoute>;

using Plan = std::vector<Step>;

// One line a change ("add route 10.2.0.0/16 dev wglan0 metric 2147483632"), in order; used by --dry-run, the
// log and the tests.
std::vector<std::string> describe(const Plan& plan, const std::string& interface);

// Pure. Applying the result to `observed` gives `desired`; diff of that is empty.
//
// Order: device, its settings and addresses; steering entries that go; kernel routes that go (those that
// keep clear text in before those that carry); WireGuard peers (a prefix that moves is only added to its new
// owner); endpoints, peers, configuration of the programs; steering entries that come; attachments; kernel
// routes that come; peers and endpoints that nothing refers to any more. Entries and routes that go, but
// whose addresses others that come have, go behind those.
Plan diff(const Desired& desired, const Observed& observed);

}  // namespace wglan
