// SPDX-License-Identifier: Apache-2.0
// Routes that a CNI made for peers' pods: overridden where they lead nowhere, and with steering.pods: cniDown
// left to do their work where they don't.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/app/agent.h"
#include "agent/app/prefix_parts.h"
#include "agent/dataplane/attach.h"
#include "agent/dataplane/device.h"
#include "agent/dataplane/hook_order.h"

namespace wglan {
namespace {

constexpr std::size_t kLogged = 20;  // of one look
// Nobody tells of programs that are detached.
constexpr Milliseconds kProgramLooks{200};

std::size_t programs_of_others(int ifindex) {
    std::size_t count = 0;
    for (const auto hook : {Attachment::Hook::tc_ingress, Attachment::Hook::tc_egress})
        if (const auto names = programs_in_order(ifindex, hook))
            count += static_cast<std::size_t>(
                std::ranges::count_if(*names, [](const std::string& name) { return !is_our_program(name); }));
    return count;
}

}  // namespace

void Agent::look_at_routes_later() { route_looks_.ask(); }

// What somebody's route for peers' prefixes depends on; nullopt where the kernel didn't say.
std::optional<RouteFacts> Agent::route_facts() {
    auto routes = netlink_->routes();
    auto links = netlink_->links();
    auto neighbours = netlink_->neighbours();
    if (!routes || !links || !neighbours) return std::nullopt;
    RouteFacts facts{std::move(*routes), std::move(*links), std::move(*neighbours), {}, {}};
    for (const int ifindex : route_health_.tunnels())
        if (const auto entries = netlink_->forwarding_entries(ifindex))
            facts.forwarding.insert(entries->begin(), entries->end());
    for (const int ifindex : route_health_.programmed())
        facts.programs[ifindex] = programs_of_others(ifindex);
    return facts;
}

void Agent::look_at_routes() {
    auto wanted = routed_prefixes();
    const bool pods6 =
        std::ranges::any_of(wanted, [](const Prefix& prefix) { return prefix.family() == Family::v6; });
    const Prefix default6;
    const bool default6_added = pods6 && wanted.insert(default6).second;
    const auto tunnels = route_health_.tunnels();
    const auto programmed = route_health_.programmed();
    const auto devices = route_health_.devices();
    auto facts = route_facts();
    if (!facts) {
        look_at_routes_later();
        return;
    }
    RouteVerdicts verdicts = route_health_.judge(wanted, *facts);
    if (route_health_.tunnels() != tunnels || route_health_.programmed() != programmed) {
        // Devices that weren't looked into yet.
        facts = route_facts();
        if (facts) verdicts = route_health_.judge(wanted, *facts);
    }
    if (route_health_.devices() != devices && !config_.steering.uplinks) host_looks_.ask();
    watch_programs_later();
    std::set<Prefix> unspared = unspared_prefixes(wanted, default6, verdicts);
    if (default6_added) {
        wanted.erase(default6);
        verdicts.faults.erase(default6);
        verdicts.sound.erase(default6);
    }
    note_faults(verdicts.faults);
    const bool overrides = config_.steering.routes == RouteForm::automatic;
    static const std::vector<Route> kNone;
    auto holed = holed_prefixes(wanted, verdicts, facts ? facts->routes : kNone);
    std::map<Prefix, std::string> faults = overrides ? verdicts.faults : std::map<Prefix, std::string>{};
    routes_judged_ = faults != overridden_ || holed != holed_ || unspared != unspared_;
    overridden_ = std::move(faults);
    holed_ = std::move(holed);
    unspared_ = std::move(unspared);
    routes_looked_at_ = true;
    if (config_.steering.pods_when_cni_down)
        routes_judged_ = cni_.update(cni_prefixes(verdicts)) || routes_judged_;
    if (!routes_judged_) return;
    note_cni();
    mark_dirty();
}

// IPv6 prefixes that don't get to an uplink without a route of ours; with `default6` among them none does.
std::set<Prefix> Agent::unspared_prefixes(const std::set<Prefix>& wanted, const Prefix& default6,
                                          const RouteVerdicts& verdicts) const {
    const auto hooked = [&](const SoundRoute& route) {
        return std::ranges::find(facts_.uplinks, route.ifindex, &Uplink::ifindex) != facts_.uplinks.end();
    };
    // Nobody answers for a pod on a link with neighbour discovery.
    const auto asks_for_pods = [](const SoundRoute& route) {
        const auto type = hardware_type(route.ifindex);
        return route.on_link && type && packets_of(*type) == PacketKind::frames;
    };
    std::set<Prefix> unspared;
    for (const Prefix& prefix : wanted) {
        if (prefix.family() != Family::v6) continue;
        const auto sound = verdicts.sound.find(prefix);
        if (prefix == default6) {
            if (sound == verdicts.sound.end() || !hooked(sound->second) || asks_for_pods(sound->second))
                unspared.insert(prefix);
        } else if (verdicts.dead_around.contains(prefix) ||
                   (sound != verdicts.sound.end() && sound->second.wider && !hooked(sound->second))) {
            unspared.insert(prefix);
        }
    }
    return unspared;
}

std::map<Prefix, Holed> Agent::holed_prefixes(const std::set<Prefix>& wanted, const RouteVerdicts& verdicts,
                                              const std::vector<Route>& routes) const {
    const auto holes = route_holes(config_, api_in_force_);
    std::map<Prefix, Holed> holed;
    for (const Prefix& prefix : wanted)
        if (has_hole(prefix, holes)) holed[prefix];
    if (holed.empty()) return holed;
    std::set<Prefix> others;
    for (const Route& route : routes)
        if (route.protocol != kRouteProtocol) others.insert(route.prefix);
    for (auto& [prefix, state] : holed) {
        const auto sound = verdicts.sound.find(prefix);
        state.routed_by_others =
            verdicts.faults.contains(prefix) || (sound != verdicts.sound.end() && !sound->second.wider);
        std::set<Prefix> widest;
        for (const Prefix& hole : holes) {
            if (!prefix.contains(hole)) continue;
            Prefix out = hole;
            for (unsigned length = prefix.length() + 1U; length < hole.length(); ++length)
                if (const auto around = Prefix::make(hole.address(), length); others.contains(*around)) {
                    out = *around;
                    break;
                }
            widest.insert(out);
        }
        state.holes.assign(widest.begin(), widest.end());
    }
    return holed;
}

void Agent::note_faults(const std::map<Prefix, std::string>& faults) const {
    if (config_.steering.routes != RouteForm::automatic) return;
    std::size_t worse = 0, better = 0;
    for (const auto& [prefix, fault] : faults)
        if (!overridden_.contains(prefix) && ++worse <= kLogged)
            spdlog::warn("the route of {} leads nowhere ({}): overriding it", prefix.to_string(), fault);
    if (worse > kLogged) spdlog::warn("... and {} routes more", worse - kLogged);
    for (const auto& [prefix, fault] : overridden_)
        if (!faults.contains(prefix) && ++better <= kLogged)
            spdlog::info("the route of {} is sound again or gone: no longer overridden", prefix.to_string());
    if (better > kLogged) spdlog::info("... and {} routes more", better - kLogged);
}

std::map<Prefix, CniPrefix> Agent::cni_prefixes(const RouteVerdicts& verdicts) const {
    std::map<Prefix, CniPrefix> prefixes;
    for (const Peer& peer : merged_.peers)
        for (const OwnedPrefix& owned : peer.prefixes) {
            if (owned.cls != PrefixClass::pod) continue;
            CniPrefix one;
            one.peer = peer.public_key;
            one.peer_name = peer.name;
            const auto steered = observed_.steer_routes.find(owned.prefix);
            one.steered =
                steered != observed_.steer_routes.end() && steered->second.action == SteerAction::steer;
            if (const auto sound = verdicts.sound.find(owned.prefix); sound != verdicts.sound.end()) {
                one.way = sound->second.way;
                one.wider = sound->second.wider;
            }
            if (const auto fault = verdicts.faults.find(owned.prefix); fault != verdicts.faults.end())
                one.fault = fault->second;
            prefixes.emplace(owned.prefix, std::move(one));
        }
    return prefixes;
}

void Agent::note_cni() {
    std::size_t logged = 0;
    for (const auto& [prefix, state] : cni_.watch().states()) {
        const auto before = told_cni_.find(prefix);
        const bool news = before == told_cni_.end() || before->second != state.left;
        if (!news || ++logged > kLogged) continue;
        if (state.left)
            spdlog::info("{} is left to the CNI, {}", prefix.to_string(), state.reason);
        else
            spdlog::warn("{} is steered: {}", prefix.to_string(), state.reason);
    }
    if (logged > kLogged) spdlog::warn("... and {} pod prefixes more", logged - kLogged);
    told_cni_.clear();
    for (const auto& [prefix, state] : cni_.watch().states()) told_cni_.emplace(prefix, state.left);
}

// Pods of peers that just came. What was steered is left to the CNI only after a while, so they are looked at
// before they are.
bool Agent::cni_unjudged() const {
    if (!config_.steering.pods_when_cni_down) return false;
    return std::ranges::any_of(merged_.peers, [&](const Peer& peer) {
        return std::ranges::any_of(peer.prefixes, [&](const OwnedPrefix& owned) {
            return owned.cls == PrefixClass::pod && cni_.watch().find(owned.prefix) == nullptr;
        });
    });
}

// Prefixes of peers that just came: how they are routed depends on other routes.
bool Agent::routes_unjudged() const {
    if (!routes_looked_at_) return true;
    const auto holes = route_holes(config_, api_in_force_);
    if (holes.empty()) return false;
    return std::ranges::any_of(merged_.peers, [&](const Peer& peer) {
        return std::ranges::any_of(peer.prefixes, [&](const OwnedPrefix& owned) {
            return is_routed(owned) && has_hole(owned.prefix, holes) && !holed_.contains(owned.prefix);
        });
    });
}

void Agent::look_at_new_routes() {
    if (cni_unjudged())
        look_at_routes();
    else if (routes_unjudged())
        route_looks_.now_or_ask();
    else
        look_at_routes_later();
}

// A peer's word, or the clock, decided.
void Agent::on_cni_change() {
    if (stopped_) return;
    note_cni();
    mark_dirty();
}

void Agent::serve_cni() {
    if (!config_.steering.pods_when_cni_down) {
        cni_.stop();
        told_cni_.clear();
    } else if (observed_.interface) {
        cni_.serve_at(config_.interface.name, observed_.interface->link.ifindex, overlay_);
    }
}

// Who hears us: an agent, through the tunnel.
std::optional<IpAddress> Agent::told_at(const PublicKey& key) const {
    const auto peer = std::ranges::find(merged_.peers, key, &Peer::public_key);
    if (peer == merged_.peers.end() || peer->agentless || peer->address.is_unspecified() ||
        !manager_.alive(key))
        return std::nullopt;
    return peer->address;
}

void Agent::watch_programs_later() {
    if (programs_pending_ || stopped_ || route_health_.programmed().empty()) return;
    programs_pending_ = true;
    programs_timer_.expires_after(kProgramLooks);
    programs_timer_.async_wait([this](const boost::system::error_code& error) {
        programs_pending_ = false;
        if (error || stopped_) return;
        std::map<int, std::size_t> seen;
        for (const int ifindex : route_health_.programmed()) seen[ifindex] = programs_of_others(ifindex);
        if (seen != programs_seen_) look_at_routes_later();
        programs_seen_ = std::move(seen);
        watch_programs_later();
    });
}

}  // namespace wglan
