// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/reconcile/pods.h"

namespace wglan {
namespace {

// Walks two tables that are sorted by key side by side: `both` gets each pair of entries, nullptr for the
// one that isn't there. Linear: they have thousands of entries, of which hardly any differ.
template <class Wanted, class Found, class Both>
void walk(const Wanted& wanted, const Found& found, Both both) {
    auto w = wanted.begin();
    auto f = found.begin();
    while (w != wanted.end() || f != found.end()) {
        if (f == found.end() || (w != wanted.end() && w->first < f->first))
            both(&*w++, static_cast<const typename Found::value_type*>(nullptr));
        else if (w == wanted.end() || f->first < w->first)
            both(static_cast<const typename Wanted::value_type*>(nullptr), &*f++);
        else
            both(&*w++, &*f++);
    }
}

// Entries of `wanted` that `found` lacks or holds differently.
template <class Map>
std::vector<typename Map::mapped_type> missing_or_different(const Map& wanted, const Map& found) {
    std::vector<typename Map::mapped_type> list;
    walk(wanted, found, [&](const auto* want, const auto* have) {
        if (want && (!have || !(have->second == want->second))) list.push_back(want->second);
    });
    return list;
}

template <class Map>
std::vector<typename Map::key_type> superfluous(const Map& wanted, const Map& found) {
    std::vector<typename Map::key_type> list;
    walk(wanted, found, [&](const auto* want, const auto* have) {
        if (!want) list.push_back(have->first);
    });
    return list;
}

template <class T>
std::vector<T> only_in_first(const std::set<T>& first, const std::set<T>& second) {
    std::vector<T> list;
    std::set_difference(first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(list));
    return list;
}

// Prefixes that come, and whether others have addresses in common with them.
class Coming {
public:
    void add(const Prefix& prefix) {
        prefixes_.insert(prefix);
        lengths_[prefix.family()].insert(prefix.length());
    }
    bool overlaps(const Prefix& prefix) const {
        const auto inside = prefixes_.lower_bound(prefix);
        if (inside != prefixes_.end() && prefix.contains(*inside)) return true;
        const auto lengths = lengths_.find(prefix.family());
        if (lengths == lengths_.end()) return false;
        for (const unsigned length : lengths->second) {
            if (length >= prefix.length()) break;
            const auto around = Prefix::make(prefix.address(), length);
            if (around && prefixes_.contains(*around)) return true;
        }
        return false;
    }

private:
    std::set<Prefix> prefixes_;
    std::map<Family, std::set<unsigned>> lengths_;
};

class Differ {
public:
    Differ(const Desired& desired, const Observed& observed) : desired_(desired), observed_(observed) {
        if (observed.interface) ifindex_ = observed.interface->link.ifindex;
    }

    Plan run() {
        interface();
        auto steered = missing_or_different(desired_.steer_routes, observed_.steer_routes);
        Coming entries, routes;
        for (const SteerRoute& route : steered) entries.add(route.prefix);
        for (const Route& route : missing_or_different_routes()) routes.add(route.prefix);
        auto gone = superfluous(desired_.steer_routes, observed_.steer_routes);
        const auto replaced = std::stable_partition(
            gone.begin(), gone.end(), [&](const Prefix& prefix) { return !entries.overlaps(prefix); });
        remove_entries({gone.begin(), replaced});
        remove_routes(routes, false);
        wireguard_peers();
        steering_tables();
        // Before the programs: one that takes over from a predecessor must not find empty tables.
        if (!steered.empty()) plan_.push_back(step::PutSteerRoutes{std::move(steered)});
        remove_entries({replaced, gone.end()});
        attachments();
        for (Route& route : missing_or_different_routes()) plan_.push_back(step::AddRoute{std::move(route)});
        remove_routes(routes, true);
        if (auto list = superfluous(desired_.steer_peers, observed_.steer_peers); !list.empty())
            plan_.push_back(step::RemoveSteerPeers{std::move(list)});
        if (auto list = only_in_first(observed_.steer_endpoints, desired_.steer_endpoints); !list.empty())
            plan_.push_back(step::RemoveSteerEndpoints{std::move(list)});
        return std::move(plan_);
    }

private:
    void interface() {
        if (!observed_.interface || !observed_.wireguard) {
            plan_.push_back(step::CreateInterface{desired_.interface});
        }
        WgDeviceChange change;
        static const WgDevice nothing;
        const WgDevice& device = observed_.wireguard ? *observed_.wireguard : nothing;
        change.set_private_key = device.public_key != desired_.public_key;
        if (desired_.listen_port != 0 && device.listen_port != desired_.listen_port)
            change.listen_port = desired_.listen_port;
        if (device.firewall_mark != desired_.firewall_mark) change.firewall_mark = desired_.firewall_mark;
        if (!change.empty()) plan_.push_back(step::ConfigureWireGuard{change});
        const Observed::Interface found = observed_.interface.value_or(Observed::Interface{});
        if (!found.link.up) plan_.push_back(step::SetNoLinkLocal{});
        if (found.link.mtu != desired_.mtu) plan_.push_back(step::SetMtu{desired_.mtu});
        // rp_filter and forwarding come before the device is up: nothing is dropped or accepted in between.
        if (found.rp_filter != 2) plan_.push_back(step::SetRpFilter{2});
        if (!found.forwarding4) plan_.push_back(step::SetForwarding{Family::v4});
        if (!found.forwarding6) plan_.push_back(step::SetForwarding{Family::v6});
        if (!found.link.up) plan_.push_back(step::SetUp{});
        // New addresses first: removing the last IPv4 address of a device flushes its IPv4 routes.
        for (const DesiredAddress& address : only_in_first(desired_.addresses, found.addresses))
            plan_.push_back(step::AddAddress{address});
        for (const DesiredAddress& address : only_in_first(found.addresses, desired_.addresses))
            plan_.push_back(step::RemoveAddress{address});
    }

    std::vector<Route> missing_or_different_routes() const {
        std::vector<Route> list;
        walk(desired_.routes, observed_.routes, [&](const auto* want, const auto* have) {
            if (!want) return;
            Route route = want->second;
            if (route.type == RouteType::unicast && route.ifindex == 0) route.ifindex = ifindex_;
            if (!have || !(have->second == route)) list.push_back(std::move(route));
        });
        return list;
    }

    void remove_entries(std::vector<Prefix> list) {
        if (!list.empty()) plan_.push_back(step::RemoveSteerRoutes{std::move(list)});
    }

    // An unreachable twin goes before its route: left alone for a moment, it would drop what is on its way.
    // `replaced`: those whose addresses routes that come have, instead of the others.
    void remove_routes(const Coming& coming, bool replaced) {
        const auto remove = [&](bool twins) {
            walk(desired_.routes, observed_.routes, [&](const auto* want, const auto* have) {
                if (want || (have->second.type == RouteType::unreachable) != twins) return;
                if (coming.overlaps(have->second.prefix) == replaced)
                    plan_.push_back(step::RemoveRoute{have->second});
            });
        };
        remove(true);
        remove(false);
    }

    void wireguard_peers() {
        std::vector<std::pair<PublicKey, const WgPeer*>> found;
        if (observed_.wireguard)
            for (const WgObservedPeer& peer : observed_.wireguard->peers)
                found.emplace_back(peer.peer.key, &peer.peer);
        std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        std::vector<WgPeerChange> first, last, gone;  // what adds comes before what takes away
        walk(desired_.peers, found, [&](const auto* want, const auto* have) {
            if (!want)
                gone.push_back(change_of(have->first, WgPeerChange::Kind::remove));
            else if (!have)
                first.push_back(added(want->second));
            else
                updated(want->second, *have->second, first, last);
        });
        spare_moved(last);
        last.insert(last.end(), std::make_move_iterator(gone.begin()), std::make_move_iterator(gone.end()));
        first.insert(first.end(), std::make_move_iterator(last.begin()), std::make_move_iterator(last.end()));
        if (!first.empty()) plan_.push_back(step::ChangePeers{std::move(first)});
    }

    static WgPeerChange change_of(const PublicKey& key, WgPeerChange::Kind kind) {
        WgPeerChange change;
        change.kind = kind;
        change.key = key;
        return change;
    }

    static WgPeerChange added(const WgPeer& wanted) {
        WgPeerChange change = change_of(wanted.key, WgPeerChange::Kind::add);
        change.endpoint = wanted.endpoint;
        if (wanted.keepalive_s != 0) change.keepalive_s = wanted.keepalive_s;
        change.set_preshared = !wanted.preshared.is_zero();
        change.add_allowed_ips = wanted.allowed_ips;
        return change;
    }

    void updated(const WgPeer& wanted, const WgPeer& found, std::vector<WgPeerChange>& first,
                 std::vector<WgPeerChange>& last) const {
        const WgPeerChange nothing = change_of(wanted.key, WgPeerChange::Kind::update);
        WgPeerChange change = nothing;
        if (wanted.endpoint && wanted.endpoint != found.endpoint) change.endpoint = wanted.endpoint;
        if (wanted.keepalive_s != found.keepalive_s) change.keepalive_s = wanted.keepalive_s;
        change.set_preshared = wanted.preshared != found.preshared;
        std::set_difference(wanted.allowed_ips.begin(), wanted.allowed_ips.end(), found.allowed_ips.begin(),
                            found.allowed_ips.end(), std::back_inserter(change.add_allowed_ips));
        WgPeerChange removal = nothing;
        for (const Prefix& prefix : found.allowed_ips)
            if (!std::binary_search(wanted.allowed_ips.begin(), wanted.allowed_ips.end(), prefix))
                removal.remove_allowed_ips.push_back(prefix);
        if (!(change == nothing)) first.push_back(std::move(change));
        if (!removal.remove_allowed_ips.empty()) last.push_back(std::move(removal));
    }

    // A prefix that another peer shall have moves when it is added there.
    void spare_moved(std::vector<WgPeerChange>& removals) const {
        std::set<Prefix> leaving, moved;
        for (const WgPeerChange& change : removals)
            leaving.insert(change.remove_allowed_ips.begin(), change.remove_allowed_ips.end());
        if (leaving.empty()) return;
        for (const auto& [key, wanted] : desired_.peers)
            for (const Prefix& owned : wanted.allowed_ips)
                if (leaving.contains(owned)) moved.insert(owned);
        for (WgPeerChange& change : removals)
            std::erase_if(change.remove_allowed_ips, [&](const Prefix& p) { return moved.contains(p); });
        std::erase_if(removals, [](const WgPeerChange& c) { return c.remove_allowed_ips.empty(); });
    }

    void steering_tables() {
        SteerConfig config = desired_.steer_config;
        config.interface_ifindex = ifindex_;
        config.listen_port = observed_.wireguard && desired_.listen_port == 0
                                 ? observed_.wireguard->listen_port
                                 : desired_.listen_port;
        if (!(config == observed_.steer_config)) plan_.push_back(step::PutSteerConfig{config});
        if (auto list = only_in_first(desired_.steer_endpoints, observed_.steer_endpoints); !list.empty())
            plan_.push_back(step::PutSteerEndpoints{std::move(list)});
        if (auto list = missing_or_different(desired_.steer_peers, observed_.steer_peers); !list.empty())
            plan_.push_back(step::PutSteerPeers{std::move(list)});
    }

    void attachments() {
        leave_direct(desired_, observed_, plan_);
        const auto attached = [&](int ifindex, Attachment::Hook hook) {
            return std::any_of(observed_.attachments.begin(), observed_.attachments.end(),
                               [&](const Attachment& a) { return a.ifindex == ifindex && a.hook == hook; });
        };
        if (!attached(ifindex_, Attachment::Hook::tc_ingress) ||
            !attached(ifindex_, Attachment::Hook::tc_egress) || !tunnel_program_fits(desired_, observed_))
            plan_.push_back(step::AttachTunnel{{ifindex_, desired_.interface}, desired_.pods.direct});
        for (const Uplink& uplink : desired_.uplinks)
            if (!attached(uplink.ifindex, Attachment::Hook::tc_egress))
                plan_.push_back(step::AttachUplink{uplink});
        std::set<int> wanted;
        for (const Uplink& uplink : desired_.uplinks) wanted.insert(uplink.ifindex);
        for (const Attachment& attachment : observed_.attachments)
            if (attachment.ifindex != ifindex_ && attachment.program != kPodProgram &&
                wanted.insert(attachment.ifindex).second)
                plan_.push_back(step::DetachUplink{attachment.ifindex, attachment.interface});
        enter_direct(desired_, observed_, plan_);
    }

    const Desired& desired_;
    const Observed& observed_;
    int ifindex_ = 0;
    Plan plan_;
};

}  // namespace

Plan diff(const Desired& desired, const Observed& observed) { return Differ(desired, observed).run(); }

Observed assume_applied(const Desired& desired, Observed after) {
    if (after.interface) {
        Observed::Interface& found = *after.interface;
        found.link.mtu = desired.mtu;
        found.link.up = true;
        found.rp_filter = 2;
        found.forwarding4 = found.forwarding6 = true;
        found.addresses = desired.addresses;
    }
    const int ifindex = after.interface ? after.interface->link.ifindex : 0;
    if (after.wireguard) {
        WgDevice& device = *after.wireguard;
        std::vector<std::pair<PublicKey, WgObservedPeer*>> found;
        for (WgObservedPeer& peer : device.peers) found.emplace_back(peer.peer.key, &peer);
        std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        std::vector<WgObservedPeer> peers;
        peers.reserve(desired.peers.size());
        walk(desired.peers, found, [&](const auto* want, const auto* have) {
            if (!want) return;
            WgObservedPeer peer;
            if (have) peer.stats = have->second->stats;
            peer.peer = want->second;
            if (!peer.peer.endpoint && have) peer.peer.endpoint = have->second->peer.endpoint;
            peers.push_back(std::move(peer));
        });
        device.peers = std::move(peers);
        device.public_key = desired.public_key;
        if (desired.listen_port != 0) device.listen_port = desired.listen_port;
        device.firewall_mark = desired.firewall_mark;
    }
    after.routes = desired.routes;
    for (auto& [key, route] : after.routes)
        if (route.type == RouteType::unicast && route.ifindex == 0) route.ifindex = ifindex;
    after.steer_routes = desired.steer_routes;
    after.steer_peers = desired.steer_peers;
    after.steer_endpoints = desired.steer_endpoints;
    after.pods = desired.pods;
    after.steer_config = desired.steer_config;
    after.steer_config.interface_ifindex = ifindex;
    after.steer_config.listen_port = after.wireguard ? after.wireguard->listen_port : desired.listen_port;
    return after;
}

}  // namespace wglan
