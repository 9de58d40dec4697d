// SPDX-License-Identifier: Apache-2.0
// What operators see of the agent.
#include <unistd.h>

#include <algorithm>

#include "agent/app/agent.h"
#include "agent/app/prefix_parts.h"
#include "agent/app/version.h"

namespace wglan {
namespace {

std::optional<Seconds> seconds_until(const std::optional<SteadyTime>& when, SteadyTime now) {
    if (!when) return std::nullopt;
    return std::chrono::duration_cast<Seconds>(std::max(*when - now, SteadyTime::duration{}));
}

}  // namespace

// Of a name that stands for none of the candidates that are tried; "" = it does, or is no name.
std::string Agent::why_unused(const Candidate& named, const PeerStatus& status) const {
    if (named.where.is_address()) return {};
    const auto found = names_.endpoints(named.where);
    if (found.empty())
        return names_.failed(named.where.host) ? "the name can't be looked up"
                                               : "the name is being looked up";
    const bool tried = std::ranges::any_of(status.candidates, [&](const CandidateStatus& candidate) {
        return std::ranges::find(found, candidate.endpoint) != found.end();
    });
    return tried ? "" : "the name leads nowhere that can be used";
}

std::vector<PeerView> Agent::peer_views() const {
    std::vector<PeerView> views;
    const SteadyTime now = system_clock().now();
    for (const Peer& peer : merged_.peers) {
        PeerView view;
        view.name = peer.name;
        view.public_key = peer.public_key;
        view.address = peer.address;
        view.prefixes = peer.prefixes;
        view.sources = peer.sources;
        view.agentless = peer.agentless;
        const PeerStatus status = manager_.status(peer.public_key).value_or(PeerStatus{});
        view.state = status.state;
        view.reason = status.reason;
        view.needs_relay = status.needs_relay;
        view.endpoint = status.endpoint;
        view.last_handshake = status.last_handshake;
        view.rx_bytes = status.rx_bytes;
        view.tx_bytes = status.tx_bytes;
        view.endpoint_changes = status.endpoint_changes;
        view.rtt_ms = status.path.rtt_ms();
        view.min_rtt_ms = status.path.min_ms();
        if (status.path.sent() > 0) view.probe_loss = status.path.loss();
        view.next_try = seconds_until(status.next_try, now);
        for (const CandidateStatus& tried : status.candidates) {
            CandidateView candidate;
            candidate.endpoint = {tried.endpoint.address.to_string(), tried.endpoint.port};
            candidate.source = tried.source;
            candidate.result = tried.result;
            candidate.score = tried.score;
            candidate.rtt_ms = tried.rtt_ms;
            candidate.next_try = seconds_until(tried.next_try, now);
            view.candidates.push_back(std::move(candidate));
        }
        for (const Candidate& named : peer.candidates)
            if (std::string why = why_unused(named, status); !why.empty())
                view.candidates.push_back({named.where, named.source, std::move(why), {}, {}, {}});
        views.push_back(std::move(view));
    }
    return views;
}

SteeringView Agent::steering_view() {
    SteeringView view;
    view.attachments = observed_.attachments;
    view.direct = config_.steering.direct;
    for (const auto& [prefix, route] : observed_.steer_routes) {
        if (route.action != SteerAction::steer) continue;
        ++(prefix.family() == Family::v4 ? view.prefixes4 : view.prefixes6);
    }
    if (const auto counters = dataplane_->counters()) {
        view.counters.steered4 = counters->steered4;
        view.counters.steered6 = counters->steered6;
        view.counters.passed = counters->passed;
        view.counters.mss_clamped = counters->mss_clamped;
        view.counters.packet_too_big = counters->packet_too_big;
        view.counters.cloned = counters->cloned;
        view.counters.forwarded = counters->forwarded;
        view.counters.dropped = counters->dropped;
        view.counters.direct_sent = counters->direct_sent;
        view.counters.direct_delivered = counters->direct_delivered;
        view.counters.direct_known = counters->direct_known;
    }
    view.guard = {config_.guard.enabled, config_.guard.handshakes_per_s, guard_.places()};
    view.pods_when_cni_down = config_.steering.pods_when_cni_down;
    view.left_to_cni = cni_.watch().left();
    view.cni_down = cni_.watch().states().size() - view.left_to_cni;
    view.cni_failovers = cni_.watch().failovers();
    return view;
}

std::vector<std::string> Agent::warnings() const {
    std::vector<std::string> all = config_warnings_;
    all.insert(all.end(), host_warnings_.begin(), host_warnings_.end());
    all.insert(all.end(), capacity_warnings_.begin(), capacity_warnings_.end());
    all.insert(all.end(), errors_.begin(), errors_.end());
    if (!probe_warning_.empty()) all.push_back(probe_warning_);
    if (!guard_.error().empty()) all.push_back("guard: " + guard_.error());
    if (!cni_.error().empty()) all.push_back("peers' notices of their CNI aren't heard: " + cni_.error());
    return all;
}

// Quiet peers are looked at every few seconds; who asks is told what holds: a peer that came up this moment
// is steered before it is called up.
void Agent::look_now() {
    if (!first_reconcile_done_ || stopped_) return;
    poll();
    if (!dirty_) return;
    debounce_.cancel();
    reconcile();
}

StatusView Agent::status() {
    look_now();
    StatusView view;
    view.version = kVersion;
    view.pid = ::getpid();
    view.uptime = std::chrono::duration_cast<Seconds>(system_clock().now() - started_);
    view.node.name = config_.node.name;
    view.node.public_key = identity_.public_key;
    view.node.address = overlay_;
    view.node.interface = config_.interface.name;
    if (observed_.wireguard) view.node.listen_port = observed_.wireguard->listen_port;
    if (observed_.interface) view.node.mtu = observed_.interface->link.mtu;
    if (wireguard_) view.node.backend = wireguard_->backend();
    view.node.key_age = keys().age;
    if (sources_) view.sources = sources_->statuses();
    view.peers = peer_views();
    view.refused = merged_.refused;
    if (dataplane_) view.steering = steering_view();
    view.settings = settings_;
    view.warnings = warnings();
    return view;
}

// Of each prefix in the main table the route of the least metric, as text; of several next hops the first.
std::map<Prefix, std::string> Agent::routes_in_force() {
    const auto routes = netlink_->routes();
    const auto links = netlink_->links();
    if (!routes || !links) return {};
    std::map<int, std::string> names;
    for (const Link& link : *links) names.emplace(link.ifindex, link.name);
    std::map<Prefix, const Route*> best;
    for (const Route& route : *routes) {
        const auto [it, fresh] = best.emplace(route.prefix, &route);
        if (!fresh && route.metric < it->second->metric) it->second = &route;
    }
    std::map<Prefix, std::string> texts;
    for (const auto& [prefix, route] : best) {
        std::string text = route->type == RouteType::unreachable ? "unreachable"
                           : route->type == RouteType::blackhole ? "blackhole"
                           : route->type == RouteType::other     ? "prohibited"
                                                                 : "dev " + names[route->ifindex];
        texts.emplace(prefix, route->gateway ? "via " + route->gateway->to_string() + " " + text : text);
    }
    return texts;
}

RoutesView Agent::routes() {
    RoutesView view;
    const auto in_force = routes_in_force();
    const auto hits = dataplane_ ? dataplane_->route_hits() : Result<RouteHits>(RouteHits{});
    std::map<Prefix, const OwnedPrefix*> owned;
    std::map<Prefix, std::string> owners;
    std::map<PeerId, std::string> names;
    for (const Peer& peer : merged_.peers)
        for (const OwnedPrefix& prefix : peer.prefixes) {
            owned.emplace(prefix.prefix, &prefix);
            owners.emplace(prefix.prefix, peer.name);
        }
    for (const auto& [id, peer] : observed_.steer_peers) names.emplace(id, peer.name);
    for (const auto& [prefix, route] : observed_.steer_routes) {
        RouteView row;
        row.prefix = prefix;
        row.action = route.action;
        if (route.peer != 0) row.peer = names[route.peer];
        row.mtu = route.mtu;
        if (hits)
            if (const auto it = hits->find(prefix); it != hits->end()) row.hits = it->second;
        row.source = route.action == SteerAction::steer ? "" : "this node";
        const auto& excluded = config_.steering.exclude;
        if (std::any_of(excluded.begin(), excluded.end(),
                        [&](const Prefix& out) { return out.contains(prefix); }))
            row.source = "configuration";
        const CniWatch::State* cni = cni_.watch().find(prefix);
        const bool left = cni != nullptr && cni->left && route.action == SteerAction::pass;
        if (const auto it = owned.find(prefix);
            it != owned.end() && (left || route.action == SteerAction::steer)) {
            row.source = it->second->source;
            row.cls = it->second->cls;
            if (cni != nullptr) row.why = (left ? "left to the CNI, " : "steered: ") + cni->reason;
            if (left) row.peer = owners[prefix];
            if (const auto found = in_force.find(prefix); found != in_force.end())
                row.kernel_route.in_force = found->second;
            auto kernel = observed_.routes.find({prefix, RouteType::unicast});
            // Around what is excluded there are parts instead.
            const auto holed = holed_.find(prefix);
            const bool parts = kernel == observed_.routes.end() && holed != holed_.end();
            if (parts)
                for (const Prefix& part : without(prefix, holed->second.holes))
                    if (kernel == observed_.routes.end())
                        kernel = observed_.routes.find({part, RouteType::unicast});
            if (kernel != observed_.routes.end()) {
                row.kernel_route.state = KernelRouteView::State::present;
                row.kernel_route.metric = kernel->second.metric;
                row.kernel_route.device = config_.interface.name;
                row.kernel_route.overrides = config_.steering.routes == RouteForm::override;
                if (const auto fault = overridden_.find(prefix); fault != overridden_.end()) {
                    row.kernel_route.overrides = true;
                    row.kernel_route.fault = fault->second;
                }
                if (parts || (row.kernel_route.overrides && !prefix.is_host()))
                    row.kernel_route.in_force = "dev " + config_.interface.name;
            }
        }
        view.routes.push_back(std::move(row));
    }
    view.refused = merged_.refused;
    return view;
}

Result<RecordView> Agent::record() {
    if (own_record_.name.empty()) return fail(ErrorKind::not_found, "no record was made yet");
    RecordView view;
    view.record = own_record_;
    if (sources_) view.published_to = sources_->publishers();
    return view;
}

KeysView Agent::keys() {
    KeysView view;
    view.public_key = identity_.public_key;
    view.identity = identity_.identity;
    view.key_file = identity_.key_file;
    view.identity_file = identity_.identity_file;
    view.created = identity_.key_created;
    if (view.created != 0)
        view.age = Seconds(std::max<UnixTime>(0, system_clock().unix_now() - view.created));
    return view;
}

MetricsView Agent::metrics() {
    look_now();
    MetricsView view;
    view.version = kVersion;
    if (wireguard_) view.backend = wireguard_->backend();
    view.peers = peer_views();
    if (sources_) view.sources = sources_->statuses();
    if (dataplane_) view.steering = steering_view();
    view.reconcile = reconcile_times_;
    view.reconcile_errors = reconcile_errors_;
    view.drift_repairs = drift_repairs_;
    view.start_seconds = start_seconds_;
    const PeerTotals totals = manager_.totals();
    view.paths = {totals.probes_sent, totals.probes_lost, totals.sweep_tries,   totals.sweep_rounds,
                  totals.trials_won,  totals.trials_lost, totals.new_beginnings};
    view.settings_valid = settings_.error.empty();
    return view;
}

Readiness Agent::ready() {
    if (!first_reconcile_done_) return {false, "starting"};
    if (!observed_.interface || !observed_.wireguard) return {false, config_.interface.name + " is missing"};
    if (!errors_.empty()) return {false, errors_.front()};
    if (!knowledge_complete() && merged_.peers.empty()) return {false, "no source has told of peers yet"};
    return {true, ""};
}

}  // namespace wglan
