// SPDX-License-Identifier: Apache-2.0
#include "agent/app/kernel.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>

#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/dataplane/attach.h"

namespace wglan {
namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
    using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

// Later steps need these: without the device's peers, steering would send packets nowhere.
bool is_foundation(const Step& step) {
    return std::holds_alternative<step::CreateInterface>(step) ||
           std::holds_alternative<step::ConfigureWireGuard>(step) ||
           std::holds_alternative<step::SetUp>(step) || std::holds_alternative<step::ChangePeers>(step) ||
           std::holds_alternative<step::PutSteerConfig>(step) ||
           std::holds_alternative<step::PutSteerPeers>(step) ||
           std::holds_alternative<step::PutSteerEndpoints>(step) ||
           std::holds_alternative<step::AttachTunnel>(step);
}

InterfaceAddress interface_address(const DesiredAddress& wanted, int ifindex) {
    InterfaceAddress address;
    address.ifindex = ifindex;
    address.address = wanted.address;
    address.prefix_length = wanted.prefix_length;
    address.scope = wanted.scope;
    address.flags = IFA_F_NOPREFIXROUTE | (wanted.address.is_v6() ? IFA_F_NODAD : 0U);
    return address;
}

}  // namespace

Result<> check_owner(const Link& link, const std::optional<WgDevice>& device, const PublicKey& own_key,
                     bool unsigned_ours) {
    if (link.alias == kInterfaceAlias) return {};
    const std::string mend = "; remove it, or choose another name with interface.name";
    if (!device)
        return fail(ErrorKind::exists, "the interface " + link.name +
                                           " exists and is no WireGuard interface of ours (kind " +
                                           (link.kind.empty() ? "none" : link.kind) + ")" + mend);
    if (device->public_key == own_key) return {};
    if (unsigned_ours && link.alias.empty() && device->public_key.is_zero() && device->peers.empty())
        return {};
    return fail(ErrorKind::exists,
                "the WireGuard interface " + link.name +
                    " exists and belongs to another program (neither alias nor key are ours)" + mend);
}

void take_steering(DataplaneState state, Observed& seen) {
    seen.steer_routes = std::move(state.routes);
    seen.steer_peers = std::move(state.peers);
    seen.steer_endpoints.insert(state.endpoints.begin(), state.endpoints.end());
    seen.steer_config = state.config;
    seen.attachments = std::move(state.attachments);
    seen.pods = std::move(state.pods);
}

Result<Observed> Kernel::observe() {
    Observed seen;
    auto link = netlink_.link(interface_);
    if (!link && link.error().kind() != ErrorKind::not_found) return fail_with(link, "look at " + interface_);
    if (link) {
        auto device = wireguard_.dump();
        // Unsupported: the kernel's word for a device of another kind. Whose it is is told below.
        if (!device && device.error().kind() != ErrorKind::not_found &&
            device.error().kind() != ErrorKind::unsupported)
            return fail_with(device, "read WireGuard's state");
        if (device) seen.wireguard = std::move(*device);
        if (auto owner = check_owner(*link, seen.wireguard, own_key_, unsigned_ours_); !owner)
            return Failure(owner.error());
        Observed::Interface found;
        found.link = *link;
        found.rp_filter = netlink_.rp_filter(link->ifindex).value_or(0);
        found.forwarding4 = netlink_.forwarding(link->ifindex, Family::v4).value_or(false);
        found.forwarding6 = netlink_.forwarding(link->ifindex, Family::v6).value_or(false);
        auto addresses = netlink_.addresses();
        if (!addresses) return fail_with(addresses, "list addresses");
        for (const InterfaceAddress& address : *addresses)
            if (address.ifindex == link->ifindex &&
                !(address.address.is_v6() && address.address.is_link_local()))
                found.addresses.insert({address.address, address.prefix_length, address.scope});
        ifindex_ = link->ifindex;
        seen.interface = std::move(found);
    } else {
        ifindex_ = 0;
    }
    auto routes = netlink_.routes(kRouteProtocol);
    if (!routes) return fail_with(routes, "list routes");
    for (Route& route : *routes) seen.routes.emplace(RouteKey{route.prefix, route.type}, std::move(route));
    auto state = dataplane_.state();
    if (!state) return fail_with(state, "read the BPF maps");
    take_steering(std::move(*state), seen);
    return seen;
}

Result<int> Kernel::ifindex() {
    if (ifindex_ != 0) return ifindex_;
    auto link = netlink_.link(interface_);
    if (!link) return Failure(link.error());
    ifindex_ = link->ifindex;
    return ifindex_;
}

Result<> Kernel::create(Outcome& outcome) {
    outcome.observe_again = true;
    auto made = wireguard_.ensure_device();
    if (!made) return fail_with(made, "make " + interface_);
    ifindex_ = 0;
    threads_asked_ = false;
    auto index = ifindex();
    if (!index) return fail_with(index, "find " + interface_);
    if (auto set = netlink_.set_alias(*index, kInterfaceAlias); !set)
        return fail_with(set, "sign " + interface_);
    return {};
}

// Spreads decryption over cores. The kernel refuses it while the device has no peer; where it can't be
// had all works as well, on one core.
void Kernel::ask_for_threads() {
    if (threads_asked_) return;
    threads_asked_ = true;
    if (auto set = netlink_.set_threaded_napi(interface_, true); !set)
        spdlog::debug("no threaded NAPI on {}: {}", interface_, set.error().message());
}

Result<> Kernel::run(const Step& step, Outcome& outcome) {
    if (std::holds_alternative<step::CreateInterface>(step)) return create(outcome);
    auto found = ifindex();
    if (!found) return Failure(found.error());
    const int index = *found;
    return std::visit(
        Overloaded{
            [&](const step::CreateInterface&) -> Result<> { return {}; },
            [&](const step::ConfigureWireGuard& s) { return wireguard_.configure(s.change, secrets_); },
            [&](const step::SetMtu& s) { return netlink_.set_mtu(index, s.mtu); },
            [&](const step::SetNoLinkLocal&) { return netlink_.set_no_link_local(index); },
            [&](const step::SetUp&) { return netlink_.set_up(index, true); },
            [&](const step::SetRpFilter& s) { return netlink_.set_rp_filter(index, s.mode); },
            [&](const step::SetForwarding& s) { return netlink_.set_forwarding(index, s.family, true); },
            [&](const step::AddAddress& s) {
                return netlink_.add_address(interface_address(s.address, index));
            },
            [&](const step::RemoveAddress& s) {
                return netlink_.remove_address(interface_address(s.address, index));
            },
            [&](const step::ChangePeers& s) -> Result<> {
                auto changed = wireguard_.apply(s.changes, secrets_);
                if (changed) ask_for_threads();
                return changed;
            },
            [&](const step::PutSteerConfig& s) { return dataplane_.set_config(s.config); },
            [&](const step::PutSteerPeers& s) { return dataplane_.put_peers(s.peers); },
            [&](const step::RemoveSteerPeers& s) { return dataplane_.remove_peers(s.ids); },
            [&](const step::PutSteerEndpoints& s) { return dataplane_.put_endpoints(s.endpoints); },
            [&](const step::RemoveSteerEndpoints& s) { return dataplane_.remove_endpoints(s.endpoints); },
            [&](const step::PutSteerRoutes& s) { return dataplane_.put_routes(s.routes); },
            [&](const step::RemoveSteerRoutes& s) { return dataplane_.remove_routes(s.prefixes); },
            [&](const step::AttachUplink& s) -> Result<> {
                auto attached = dataplane_.attach_uplink(s.uplink.ifindex, s.uplink.name);
                // Gone since it was looked at: news of that is on its way.
                if (!attached && interface_name(s.uplink.ifindex).empty()) return {};
                if (!attached) return fail_with(attached, "attach to " + s.uplink.name);
                outcome.attached.push_back(*attached);
                return {};
            },
            [&](const step::AttachTunnel& s) -> Result<> {
                auto attached = dataplane_.attach_tunnel(index, interface_, s.direct);
                if (!attached) return fail_with(attached, "attach to " + interface_);
                outcome.attached.insert(outcome.attached.end(), attached->begin(), attached->end());
                return {};
            },
            [&](const step::DetachUplink& s) { return dataplane_.detach(s.ifindex); },
            [&](const step::PutPods& s) -> Result<> {
                auto attached = dataplane_.put_pods(s.devices, s.macs);
                if (!attached) return Failure(attached.error());
                outcome.attached.insert(outcome.attached.end(), attached->begin(), attached->end());
                return {};
            },
            [&](const step::RemovePods& s) -> Result<> {
                std::vector<int> ifindexes;
                for (const PodDevice& device : s.devices) ifindexes.push_back(device.ifindex);
                return dataplane_.remove_pods(ifindexes);
            },
            [&](const step::SetOwnPods& s) { return dataplane_.set_own_pods(s.own); },
            [&](const step::AddRoute& s) -> Result<> {
                Route route = s.route;
                if (route.type == RouteType::unicast && route.ifindex == 0) route.ifindex = index;
                return netlink_.add_route(route);
            },
            [&](const step::RemoveRoute& s) { return netlink_.remove_route(s.route); },
        },
        step);
}

Kernel::Outcome Kernel::apply(const Plan& plan) {
    Outcome outcome;
    for (const Step& step : plan) {
        auto done = run(step, outcome);
        if (!done) {
            outcome.complete = false;
            outcome.errors.push_back(done.error().message());
            if (is_foundation(step)) break;
        }
        if (outcome.observe_again) break;
    }
    return outcome;
}

}  // namespace wglan
