// SPDX-License-Identifier: Apache-2.0
// From news to plans: facts, own record, merge, desired state, diff, apply.
#include <algorithm>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "agent/app/agent.h"
#include "agent/app/own_record.h"
#include "agent/app/wiring.h"
#include "agent/model/overlay_address.h"
#include "agent/reconcile/part.h"
#include "agent/reconcile/pods.h"

namespace wglan {
namespace {

constexpr Milliseconds kDebounce{5};
constexpr std::size_t kLoggedLines = 40;
constexpr std::size_t kLoggedColumns = 400;

// Until every source has told all it knows, nothing goes because nobody named it yet.
Plan without_removals(Plan plan) {
    Plan kept;
    for (Step& step : plan) {
        if (std::holds_alternative<step::RemoveSteerRoutes>(step) ||
            std::holds_alternative<step::RemoveSteerPeers>(step) ||
            std::holds_alternative<step::RemoveSteerEndpoints>(step) ||
            std::holds_alternative<step::RemoveRoute>(step))
            continue;
        if (auto* peers = std::get_if<step::ChangePeers>(&step)) {
            std::erase_if(peers->changes, [](const WgPeerChange& change) {
                return change.kind == WgPeerChange::Kind::remove || !change.remove_allowed_ips.empty();
            });
            if (peers->changes.empty()) continue;
        }
        kept.push_back(std::move(step));
    }
    return kept;
}

// Of peers that are in the device.
bool moves_endpoints(const Plan& plan) {
    return std::any_of(plan.begin(), plan.end(), [](const Step& one) {
        const auto* peers = std::get_if<step::ChangePeers>(&one);
        return peers != nullptr &&
               std::any_of(peers->changes.begin(), peers->changes.end(), [](const WgPeerChange& change) {
                   return change.kind == WgPeerChange::Kind::update && change.endpoint;
               });
    });
}

bool same_content(Record a, Record b) {
    a.sequence = b.sequence = 0;
    a.issued = b.issued = 0;
    return a == b;
}

}  // namespace

void Agent::mark_dirty() {
    all_dirty_ = true;
    reconcile_soon();
}

void Agent::reconcile_soon() {
    if (dirty_ || stopped_) return;
    dirty_ = true;
    debounce_.expires_after(kDebounce);
    debounce_.async_wait([this](const boost::system::error_code& error) {
        if (!error && !stopped_) reconcile();
    });
}

void Agent::refresh_record() {
    const std::uint16_t port = config_.interface.listen_port != 0 ? config_.interface.listen_port
                               : observed_.wireguard              ? observed_.wireguard->listen_port
                                                                  : std::uint16_t{0};
    if (port == 0) return;  // the kernel chooses it when the device is configured
    Record record =
        build_own_record(config_, facts_, identity_.public_key, identity_.identity, overlay_, port);
    auto warnings = host_warnings(config_, record, facts_);
    if (warnings != host_warnings_)
        for (const std::string& warning : warnings) spdlog::warn("{}", warning);
    host_warnings_ = std::move(warnings);
    record.observed = own_record_.observed;
    const auto seen = observed_by_us();
    const bool news = tells_more(seen, own_record_.observed);
    if (same_content(record, own_record_) && !(news && may_tell_observed())) return;
    record.observed = seen;
    if (news) news_pace_.told(system_clock().now());
    publish(std::move(record));
}

std::map<std::string, Endpoint> Agent::observed_by_us() const {
    return observed_endpoints(
        merged_.peers,
        [this](const PublicKey& key) {
            return manager_.alive(key) ? manager_.endpoint_in_use(key) : std::nullopt;
        },
        [this](const HostPort& where) { return names_.endpoints(where); });
}

bool Agent::may_tell_observed() {
    const SteadyTime now = system_clock().now();
    const auto rest = news_pace_.next(now) - now;
    if (rest <= SteadyTime::duration{}) return true;
    observed_timer_.expires_after(std::chrono::duration_cast<Milliseconds>(rest) + Milliseconds(1));
    observed_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error && !stopped_) mark_dirty();
    });
    return false;
}

void Agent::publish(Record record) {
    record.sequence = ++sequence_;
    record.issued = system_clock().unix_now();
    // The number is on disk before anybody sees it: after a crash the next one is above it.
    if (auto stored = state_dir_.store_sequence(sequence_); !stored)
        note_errors({"store the record's sequence: " + stored.error().message()});
    own_record_ = std::move(record);
    if (sources_) sources_->publish(own_record_);
}

OwnClaims Agent::own_claims() const {
    OwnClaims own = own_claims_of(config_, facts_, identity_, overlay_);
    own.depended_on = depended_on_;
    own.reached_at = [this](const PublicKey& key) -> std::optional<IpAddress> {
        const auto status = manager_.status(key);
        if (!manager_.alive(key) || !status || !status->endpoint) return std::nullopt;
        return status->endpoint->address;
    };
    return own;
}

std::set<std::string> Agent::names_in_use() const {
    std::set<std::string> hosts;
    for (const Peer& peer : merged_.peers)
        for (const Candidate& candidate : peer.candidates) hosts.insert(candidate.where.host);
    for (const ServiceConfig& service : config_.discovery.services)
        if (const auto url = Url::parse(service.url)) hosts.insert(url->host);
    for (const HostPort& server : api_hosts_) hosts.insert(server.host);
    return hosts;
}

void Agent::merge() {
    const SteadyTime now = system_clock().now();
    const auto before = merged_.refused;
    depended_on_ = service_addresses(config_, names_);
    const auto run = [&] {
        return registry_.merge(
            own_claims(),
            // Who may be dying keeps what it has.
            [this](const PublicKey& key) {
                return manager_.alive(key) ? PeerState::up : manager_.state(key);
            },
            now);
    };
    merged_ = run();
    if (merged_.own_address_taken && derive_other_address()) merged_ = run();
    merge_dirty_ = one_put_ = false;
    // A peer whose preshared key can't be read is not configured without it.
    std::erase_if(merged_.peers, [&](const Peer& peer) {
        auto print = secrets_.fingerprint_of(peer);
        if (print) return false;
        merged_.refused.push_back({peer.name, "peer", print.error().message()});
        return true;
    });
    for (const auto& [id, refusal] : source_refusals_) merged_.refused.push_back(refusal);
    find_api_server_owners();
    look_at_guests();
    std::sort(merged_.refused.begin(), merged_.refused.end());
    for (const Refusal& refusal : merged_.refused)
        if (!std::binary_search(before.begin(), before.end(), refusal))
            spdlog::warn("refused {} of {}: {}", refusal.prefix, refusal.peer, refusal.reason);
    const auto known = manager_.keys();
    manager_.set_services_heard(services_heard());
    manager_.set_own_seen(seen_behind_nat(merged_.seen_of_us, facts_.all_addresses));
    manager_.set_peers(peer_inputs(), now);
    // New ones may be in the device already. To the others an old dump would say that nothing came since.
    if (observed_.wireguard && manager_.keys() != known) observe_peers(*observed_.wireguard);
    (void)tick_peers();
    if (knowledge_complete()) ids_.keep_only(merged_.peers);
    if (first_reconcile_done_ && manager_.searching()) poll_later();
    look_at_new_routes();
}

// Two nodes with one MAC derive the same address. False where there is no other to take.
bool Agent::derive_other_address() {
    const IpAddress other = key_address(overlay_network_, identity_.public_key);
    if (other == overlay_) return false;
    spdlog::warn("{} is also the address of another node (a MAC that repeats); this node takes {}",
                 overlay_.to_string(), other.to_string());
    overlay_ = other;
    if (auto stored = state_dir_.store_address(overlay_); !stored)
        note_errors({"store the overlay address: " + stored.error().message()});
    refresh_record();
    return true;
}

// Those that have kernel routes of ours where their peers are steered.
std::set<Prefix> Agent::routed_prefixes() const {
    std::set<Prefix> routed;
    for (const Peer& peer : merged_.peers)
        for (const OwnedPrefix& owned : peer.prefixes)
            if (is_routed(owned)) routed.insert(owned.prefix);
    return routed;
}

bool Agent::services_heard() const {
    const auto all = sources_ ? sources_->statuses() : std::vector<SourceStatus>{};
    return std::any_of(all.begin(), all.end(), [](const SourceStatus& source) {
        return source.name.starts_with("service:") && source.state == SourceState::synced;
    });
}

bool Agent::knowledge_complete() const { return sources_ && sources_->complete(); }

Desired Agent::desired(const std::vector<Peer>& peers) {
    const DesiredInput input{
        config_,
        facts_,
        identity_.public_key,
        overlay_,
        overlay_network_,
        peers,
        manager_,
        ids_,
        [this](const Peer& peer) { return secrets_.fingerprint_of(peer).value_or(SecretFingerprint{}); },
        [this](const Peer& peer) { return endpoints_of(peer); },
        depended_on_,
        [this](const Prefix& prefix) { return overridden_.contains(prefix); },
        [this](const Prefix& prefix) {
            const CniWatch::State* state = cni_.watch().find(prefix);
            return state == nullptr || !state->left ? CniShare::none
                   : state->wider                   ? CniShare::by_wider_route
                                                    : CniShare::by_own_route;
        },
        api_in_force_,
        [this](const Prefix& prefix) {
            const auto holed = holed_.find(prefix);
            return holed == holed_.end() ? nullptr : &holed->second;
        },
        [this](const Prefix& prefix) {
            return routes_looked_at_ && !unspared_.contains(Prefix()) && !unspared_.contains(prefix);
        }};
    return build_desired(input);
}

void Agent::retry_later() {
    retry_timer_.expires_after(retry_.next());
    retry_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) mark_dirty();
    });
}

void Agent::reconcile() {
    dirty_ = false;
    const SteadyTime since = system_clock().now();
    const bool look = facts_dirty_ || checking_drift_ || !observed_valid_;
    const bool repairing = checking_drift_ && observed_valid_ && first_reconcile_done_;
    if (!reconcile_one()) reconcile_all();
    if (!first_reconcile_done_) return;
    serve_reachability();
    serve_cni();
    if (guard_.looked()) keep_guard(look, repairing);
    const SteadyTime::duration took = system_clock().now() - since;
    reconcile_times_.observe(std::chrono::duration<double>(took).count());
    if (std::exchange(routes_judged_, false)) route_looks_.took(took);
    tell_condition();
    remember_later();
}

// One record was put and nothing else happened: what a whole pass would do, for that peer alone.
bool Agent::reconcile_one() {
    if (!one_put_ || all_dirty_ || merge_dirty_ || facts_dirty_ || checking_drift_ || !observed_valid_ ||
        !first_reconcile_done_ || !knowledge_complete() ||
        nearly_full(observed_.steer_routes.size(), config_.bpf.max_routes) ||
        service_addresses(config_, names_) != depended_on_)
        return false;
    const auto touched = registry_.merge_one(own_claims(), merged_);
    merge_dirty_ = true;  // until this went well
    if (!touched) return false;
    if (touched->before && holds_api_server(*touched->before)) return false;
    const auto peer = std::find_if(merged_.peers.begin(), merged_.peers.end(),
                                   [&](const Peer& p) { return p.public_key == touched->key; });
    if (holds_api_server(*peer)) return false;
    if (cni_unjudged() || routes_unjudged()) look_at_new_routes();
    Desired before = desired(touched->before ? std::vector{*touched->before} : std::vector<Peer>{});
    manager_.set_peer(peer_input(*peer), system_clock().now());
    Desired after = desired({*peer});
    keep_differences(before, after);
    // A peer that roamed to where this one is or was has a part in it.
    for (const Desired* one : {&before, &after})
        for (const SteerEndpoint& steered : one->steer_endpoints)
            if (manager_.other_at(steered.endpoint.address, touched->key)) return false;
    Observed part = part_of(observed_, before, after);
    const Plan plan = diff(after, part);
    if (moves_endpoints(plan)) return false;  // not before another look
    merge_dirty_ = one_put_ = false;
    if (manager_.searching()) poll_later();
    look_at_routes_later();
    clone_handshakes(&touched->key);
    if (plan.empty()) return true;
    Kernel::Outcome outcome;
    if (!carry_out(plan, outcome)) return true;
    put_back(observed_, before, after, assume_applied(after, std::move(part)));
    note_attachments(after, outcome.attached);
    return true;
}

void Agent::reconcile_all() {
    const bool facts_alone = !std::exchange(all_dirty_, false) && facts_dirty_ && !one_put_ &&
                             !merge_dirty_ && !checking_drift_ && observed_valid_;
    if (facts_dirty_ && !refresh_facts()) {
        retry_later();
        return;
    }
    if (facts_alone && !merge_dirty_ && all_hooked()) return;  // nothing that counts has changed
    refresh_record();
    const bool repairing = checking_drift_ && observed_valid_ && first_reconcile_done_;
    if (checking_drift_ || !observed_valid_) {
        auto observed = kernel_->observe();
        if (!observed) {
            ++reconcile_errors_;
            observed_valid_ = false;
            note_errors({observed.error().message()});
            retry_later();
            return;
        }
        observed_ = std::move(*observed);
        observed_valid_ = true;
        checking_drift_ = false;
        if (observed_.wireguard) {
            observe_peers(*observed_.wireguard);
            if (tick_peers()) merge_dirty_ = true;
        }
    }
    if (merge_dirty_ || one_put_) merge();
    find_api_servers();
    api_in_force_ = api_servers();
    Desired wanted = desired(merged_.peers);
    Plan plan = diff(wanted, observed_);
    if (moves_endpoints(plan) && look_again()) {
        api_in_force_ = api_servers();
        wanted = desired(merged_.peers);
        plan = diff(wanted, observed_);
        merge_dirty_ = true;  // who is up decides who owns what
        mark_dirty();
    }
    note_capacity(wanted);
    const bool all_known = knowledge_complete();
    if (!all_known) plan = without_removals(std::move(plan));
    first_reconcile_done_ = true;
    clone_handshakes();
    if (plan.empty()) {
        note_errors({});
        return;
    }
    if (repairing) {
        drift_repairs_ += plan.size();
        spdlog::warn("repairing what others changed");
    }
    Kernel::Outcome outcome;
    if (!carry_out(plan, outcome)) return;
    if (!all_known) {
        observed_valid_ = false;  // what was kept isn't in `wanted`: look again next time
        return;
    }
    observed_ = assume_applied(wanted, std::move(observed_));
    note_attachments(wanted, outcome.attached);
}

bool Agent::carry_out(const Plan& plan, Kernel::Outcome& outcome) {
    const auto lines = describe(plan, config_.interface.name);
    // A peer's line names all of its prefixes.
    for (std::size_t i = 0; i < lines.size() && i < kLoggedLines; ++i)
        spdlog::info("{}{}", std::string_view(lines[i]).substr(0, kLoggedColumns),
                     lines[i].size() > kLoggedColumns ? " ..." : "");
    if (lines.size() > kLoggedLines) spdlog::info("... and {} changes more", lines.size() - kLoggedLines);
    outcome = kernel_->apply(plan);
    note_errors(outcome.errors);
    if (outcome.observe_again) {
        // The device is there now; what it carries comes with the next look.
        observed_valid_ = false;
        mark_dirty();
        return false;
    }
    if (!outcome.complete) {
        ++reconcile_errors_;
        observed_valid_ = false;
        retry_later();
        return false;
    }
    retry_.reset();
    // The tunnel's device holds our addresses too: one that is gone elsewhere was heard, and spoken from,
    // until now.
    if (std::any_of(plan.begin(), plan.end(),
                    [](const Step& step) { return std::holds_alternative<step::RemoveAddress>(step); }))
        asio::post(io_, [this] {
            if (!stopped_) look_for_peers_anew();
        });
    return true;
}

void Agent::note_attachments(const Desired& wanted, const std::vector<Attachment>& attached) {
    std::vector<Attachment>& known = observed_.attachments;
    std::erase_if(known, [&](const Attachment& attachment) {
        const bool tunnel = observed_.interface && attachment.ifindex == observed_.interface->link.ifindex;
        return !tunnel && !is_pod_attachment(wanted, attachment) &&
               std::none_of(wanted.uplinks.begin(), wanted.uplinks.end(),
                            [&](const Uplink& u) { return u.ifindex == attachment.ifindex; });
    });
    for (const Attachment& attachment : attached) {
        std::erase_if(known, [&](const Attachment& before) {
            return before.ifindex == attachment.ifindex && before.hook == attachment.hook;
        });
        known.push_back(attachment);
    }
    std::sort(known.begin(), known.end());
}

void Agent::note_capacity(const Desired& wanted) {
    auto warnings = capacity_warnings(wanted, config_);
    if (warnings != capacity_warnings_)
        for (const std::string& warning : warnings) spdlog::warn("{}", warning);
    capacity_warnings_ = std::move(warnings);
}

bool Agent::is_hooked(int ifindex, Attachment::Hook hook) const {
    const auto there = std::ranges::equal_range(observed_.attachments, ifindex, {}, &Attachment::ifindex);
    return std::ranges::find(there, hook, &Attachment::hook) != there.end();
}

// A device may have gone, its programs with it, and another come that is the same in all but those.
bool Agent::all_hooked() const {
    return std::ranges::all_of(facts_.uplinks,
                               [this](const Uplink& uplink) {
                                   return is_hooked(uplink.ifindex, Attachment::Hook::tc_egress);
                               }) &&
           (!config_.steering.direct || std::ranges::all_of(facts_.pods.devices, [this](const auto& device) {
               return !device.second.runs_program() || is_hooked(device.first, Attachment::Hook::tc_ingress);
           }));
}

// After a plan: the programs' settings, which the guard shares, are in force by then.
void Agent::keep_guard(bool look, bool repairing) {
    if (!look && guard_.settled()) return;
    const std::vector<GuardPlace> places = guard_.places();
    const auto outcome = guard_.keep(*dataplane_, guard_wanted(config_, facts_));
    if (repairing) drift_repairs_ += outcome.changes;
    if (outcome.changes == 0) return;
    auto attachments = dataplane_->attachments();
    if (!attachments) return;
    // Somebody may have taken a place of the others meanwhile: what is gone is looked at, not taken for
    // granted.
    const bool lost = std::ranges::any_of(observed_.attachments, [&](const Attachment& before) {
        return std::ranges::find(places, before, &GuardPlace::attachment) == places.end() &&
               !std::ranges::binary_search(*attachments, before);
    });
    observed_.attachments = std::move(*attachments);
    if (!lost) return;
    checking_drift_ = true;
    mark_dirty();
}

void Agent::note_errors(const std::vector<std::string>& errors) {
    for (const std::string& error : errors)
        if (std::find(errors_.begin(), errors_.end(), error) == errors_.end()) spdlog::error("{}", error);
    errors_ = errors;
}

void Agent::remember() {
    if (!sources_) return;
    std::map<PublicKey, Endpoint> endpoints = sources_->good_endpoints();
    std::set<IdentityKey> alive;
    std::set<PublicKey> keys;
    for (const Peer& peer : merged_.peers) {
        alive.insert(peer.identity);
        keys.insert(peer.public_key);
        if (manager_.state(peer.public_key) != PeerState::up) continue;
        if (const auto endpoint = manager_.endpoint_in_use(peer.public_key))
            endpoints[peer.public_key] = *endpoint;
    }
    const bool complete = knowledge_complete();
    if (complete) std::erase_if(endpoints, [&](const auto& item) { return !keys.contains(item.first); });
    sources_->remember(registry_.ownership(), std::move(endpoints), {api_addresses_, assigned_pods_},
                       complete ? &alive : nullptr);
}

}  // namespace wglan
