// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/pod_devices.h"

#include <fnmatch.h>

#include <algorithm>

namespace wglan {
namespace {

// A redirect to the peer works across namespaces alone.
bool has_far_peer(const Link& link) {
    return (link.kind == "veth" || link.kind == "netkit") && link.peer_in_other_netns;
}

class Selection {
public:
    Selection(const std::vector<Link>& links, const std::vector<InterfaceAddress>& addresses,
              const std::optional<std::vector<std::string>>& globs, const std::vector<Prefix>& own)
        : links_(links), addresses_(addresses), globs_(globs), own_(own) {}

    bool chosen(const Link& link) const {
        if (globs_)
            return std::ranges::any_of(*globs_, [&](const std::string& glob) {
                return ::fnmatch(glob.c_str(), link.name.c_str(), 0) == 0;
            });
        if (link.kind == "bridge") return holds_pod_address(link) && has_only_guests(link);
        return has_far_peer(link);
    }

    // By ifindex of the bridge.
    const Link* bridge_of(const Link& port) const {
        const auto found = std::ranges::find(links_, port.master, &Link::ifindex);
        return port.master == 0 || found == links_.end() || found->kind != "bridge" ? nullptr : &*found;
    }

private:
    bool holds_pod_address(const Link& link) const {
        return std::ranges::any_of(addresses_, [&](const InterfaceAddress& address) {
            return address.ifindex == link.ifindex && std::ranges::any_of(own_, [&](const Prefix& prefix) {
                       return prefix.contains(address.address);
                   });
        });
    }

    bool has_only_guests(const Link& bridge) const {
        return std::ranges::all_of(links_, [&](const Link& port) {
            return port.master != bridge.ifindex || port.kind == "veth" || port.kind == "tun";
        });
    }

    const std::vector<Link>& links_;
    const std::vector<InterfaceAddress>& addresses_;
    const std::optional<std::vector<std::string>>& globs_;
    const std::vector<Prefix>& own_;
};

}  // namespace

PodDevices select_pod_devices(const std::vector<Link>& links, const std::vector<InterfaceAddress>& addresses,
                              const std::vector<int>& uplinks,
                              const std::optional<std::vector<std::string>>& configured_globs,
                              const std::string& own_interface, const std::vector<Prefix>& own_pod_prefixes) {
    PodDevices found;
    if (own_pod_prefixes.empty()) return found;
    const Selection selection(links, addresses, configured_globs, own_pod_prefixes);
    const auto fits = [&](const Link& link) {
        return !link.loopback && (link.has_mac || link.kind == "netkit") && link.name != own_interface &&
               !std::ranges::binary_search(uplinks, link.ifindex);
    };
    for (const Link& link : links) {
        if (!fits(link)) continue;
        PodDevice device{link.ifindex, link.name, PodDevice::Kind::device, link.mac};
        if (link.master != 0) {
            const Link* bridge = selection.bridge_of(link);
            if (bridge == nullptr || !fits(*bridge) || !selection.chosen(*bridge)) continue;
            device.kind = PodDevice::Kind::port;
            device.mac = bridge->mac;
            if (link.mac != bridge->mac) found.macs.insert(link.mac);
        } else if (!selection.chosen(link)) {
            continue;
        } else if (link.kind == "bridge") {
            device.kind = PodDevice::Kind::bridge;
        } else if (has_far_peer(link)) {
            device.kind = PodDevice::Kind::peer;
        }
        found.devices.emplace(link.ifindex, std::move(device));
    }
    return found;
}

}  // namespace wglan
