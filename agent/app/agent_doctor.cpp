// SPDX-License-Identifier: Apache-2.0
// `wglanctl doctor`: what this agent knows of itself and its host, and what its peers say of them.
#include <algorithm>

#include "agent/app/agent.h"
#include "agent/app/own_record.h"
#include "agent/app/version.h"
#include "agent/doctor/checks.h"
#include "agent/inspect/host.h"

namespace wglan {
namespace {

constexpr std::size_t kMostAsked = 8;

std::string_view status_of(const ReachOutcome& outcome) {
    if (!outcome.answer) return "noAnswer";
    switch (outcome.answer->status) {
        case ReachAnswer::Status::knocked:
            return "knocked";
        case ReachAnswer::Status::too_many:
            return "tooMany";
        case ReachAnswer::Status::unable:
            return "unable";
    }
    return "unable";
}

KnockResult::Outcome result_of(const ReachOutcome& outcome, const Endpoint& target) {
    for (const ReachOutcome::Arrival& arrival : outcome.arrivals)
        if (arrival.target == target)
            return arrival.stage == KnockStage::delivered ? KnockResult::Outcome::delivered
                                                          : KnockResult::Outcome::filtered;
    return KnockResult::Outcome::lost;
}

// `own`: what this node announces; a target that is none of it is a peer's invention.
AskedPeerView view_of(const ReachOutcome& outcome, const Record& own, bool deaf) {
    AskedPeerView view;
    view.peer = outcome.asked.peer;
    view.endpoint = outcome.asked.endpoint;
    view.status = status_of(outcome);
    view.clock_offset_s = outcome.clock_offset_s;
    if (!outcome.answer) return view;
    view.seen = outcome.answer->seen;
    if (deaf) return view;
    for (const Endpoint& target : outcome.answer->targets) {
        const HostPort where{target.address.to_string(), target.port};
        const bool announced =
            std::find(own.endpoints.begin(), own.endpoints.end(), where) != own.endpoints.end();
        if (view.seen == target || announced)
            view.knocks.push_back(
                {view.peer, view.endpoint, target, view.seen != target, result_of(outcome, target)});
    }
    return view;
}

// What kept peers from saying whether the port is reachable.
void explain_silence(const ReachSurvey& survey, Findings& findings) {
    const auto skip = [&](std::string text, std::string mend) {
        findings.push_back({"port", FindingStatus::skip, std::move(text), std::move(mend)});
    };
    const auto those = [&](std::string_view status) {
        std::string names;
        for (const ReachOutcome& outcome : survey.outcomes)
            if (status_of(outcome) == status) names += (names.empty() ? "" : ", ") + outcome.asked.peer;
        return names;
    };
    if (!survey.error.empty()) skip("peers can't be asked: " + survey.error, "");
    if (survey.error.empty() && survey.outcomes.empty()) skip("no peer is up that could be asked", "");
    if (!survey.deaf.empty()) skip("knocks can't be seen: " + survey.deaf, "give the agent CAP_NET_RAW");
    if (const auto names = those("noAnswer"); !names.empty())
        skip("no answer from " + names + " whether they reach this node: an older or stopped agent, or a " +
                 "firewall that drops UDP port " + std::to_string(kReachPort) + " in the tunnel",
             "");
    if (const auto names = those("tooMany"); !names.empty())
        skip("asked too often: " + names, "ask again in half a minute");
    if (const auto names = those("unable"); !names.empty())
        skip("can't send to this node's endpoints: " + names, "");
}

}  // namespace

void Agent::serve_reachability() {
    if (!observed_.interface) return;
    reachability_.set_mark(config_.interface.firewall_mark);
    reachability_.serve_at(config_.interface.name, observed_.interface->link.ifindex, overlay_);
}

std::optional<ReachAsker> Agent::find_asker(const IpAddress& overlay) const {
    const auto peer = std::find_if(merged_.peers.begin(), merged_.peers.end(),
                                   [&](const Peer& one) { return one.address == overlay; });
    if (peer == merged_.peers.end() || overlay.is_unspecified()) return std::nullopt;
    ReachAsker asker;
    asker.key = peer->public_key;
    asker.seen = manager_.endpoint_in_use(peer->public_key);
    for (const Candidate& candidate : peer->candidates)
        if (const auto endpoint = candidate.where.endpoint(); endpoint && named_by_itself(candidate.source))
            asker.announced.push_back(*endpoint);
    return asker;
}

std::vector<ReachQuestion> Agent::reach_questions() const {
    std::vector<ReachQuestion> questions;
    for (const Peer& peer : merged_.peers) {
        const auto endpoint = manager_.endpoint_in_use(peer.public_key);
        if (!peer.agentless && !peer.address.is_unspecified() && endpoint && manager_.alive(peer.public_key))
            questions.push_back({peer.name, peer.address, *endpoint});
    }
    return choose_asked(std::move(questions), facts_.networks, kMostAsked);
}

HostView Agent::host_view() const {
    HostQuestion question;
    question.interface = config_.interface.name;
    question.pin_path = config_.bpf.pin_path;
    question.key_file = identity_.key_file;
    question.uplinks.emplace();
    for (const Uplink& uplink : facts_.uplinks) question.uplinks->push_back(uplink.name);
    question.pod_prefixes = config_.node.pod_prefixes.value_or(std::vector<Prefix>{});
    return inspect_host(*netlink_, question);
}

AgentView Agent::agent_view() const {
    AgentView view;
    view.version = std::string("agent ") + kVersion;
    if (wireguard_) view.backend = wireguard_->backend();
    view.order_first = config_.steering.order_first;
    view.guard = config_.guard.enabled && guard_.looked();  // a moment after the start
    view.announces4 = announces(own_record_, Family::v4);
    view.announces6 = announces(own_record_, Family::v6);
    view.wanted_mtu = interface_mtu(config_, facts_);
    for (const Uplink& uplink : facts_.uplinks) view.uplinks.push_back(uplink.name);
    for (const GuardPlace& place : guard_.places()) view.guarded.push_back(place.attachment.interface);
    view.errors = errors_;
    view.settings_error = settings_.error;
    // What has a check of its own is left out.
    HostFacts sound = facts_;
    sound.forwards4 = sound.forwards6 = true;
    if (sound.uplinks.empty()) sound.uplinks.emplace_back();
    view.warnings = host_warnings(config_, own_record_, sound);
    for (const auto* more : {&config_warnings_, &capacity_warnings_})
        view.warnings.insert(view.warnings.end(), more->begin(), more->end());
    if (!probe_warning_.empty()) view.warnings.push_back(probe_warning_);
    if (!guard_.error().empty()) view.warnings.push_back("guard: " + guard_.error());
    if (sources_) view.sources = sources_->statuses();
    for (const Peer& peer : merged_.peers)
        view.peers.push_back({peer.name, manager_.state(peer.public_key),
                              manager_.status(peer.public_key).value_or(PeerStatus{}).reason});
    view.refused = merged_.refused.size();
    return view;
}

std::vector<Sighting> Agent::told_sightings() const {
    std::vector<Sighting> all;
    for (const auto& [key, seen] : registry_.who_sees(identity_.public_key)) {
        const auto peer = std::find_if(merged_.peers.begin(), merged_.peers.end(),
                                       [&, &who = key](const Peer& one) { return one.public_key == who; });
        const auto endpoint = manager_.endpoint_in_use(key);
        if (peer != merged_.peers.end() && endpoint && manager_.alive(key))
            all.push_back({peer->name, *endpoint, seen, false});
    }
    return all;
}

Task<DoctorView> Agent::doctor() {
    look_now();
    DoctorView view;
    view.version = kVersion;
    view.interface = config_.interface.name;
    view.firewall_mark = config_.interface.firewall_mark;
    view.firewall_mark_mask = config_.interface.firewall_mark_mask;
    view.direct = config_.steering.direct;
    if (observed_.wireguard) view.listen_port = observed_.wireguard->listen_port;
    const ReachSurvey survey = co_await reachability_.ask(reach_questions(), view.listen_port);

    std::vector<Sighting> sightings = told_sightings();
    std::vector<KnockResult> knocks;
    std::vector<ClockOffset> offsets;
    for (const ReachOutcome& outcome : survey.outcomes) {
        view.asked.push_back(view_of(outcome, own_record_, !survey.deaf.empty()));
        const AskedPeerView& asked = view.asked.back();
        if (asked.seen) sightings.push_back({asked.peer, asked.endpoint, *asked.seen, true});
        knocks.insert(knocks.end(), asked.knocks.begin(), asked.knocks.end());
        if (asked.clock_offset_s) offsets.push_back({asked.peer, *asked.clock_offset_s});
    }
    const AgentView agent = agent_view();
    view.findings = check_all(host_view(), &agent, offsets);

    const OwnPlace own{facts_.all_addresses, facts_.networks, view.listen_port};
    for (const Family family : {Family::v4, Family::v6})
        if (auto verdict = judge_nat(family, sightings, own)) view.nat.push_back(std::move(*verdict));
    for (const NatVerdict& verdict : view.nat)
        for (Finding& finding : nat_findings(verdict, own, knocks))
            view.findings.push_back(std::move(finding));
    if (view.nat.empty())
        view.findings.push_back(
            {"nat", FindingStatus::skip, "not known: no peer that is up says where it sees this node", ""});
    for (Finding& finding : reach_findings(view.nat, own, knocks))
        view.findings.push_back(std::move(finding));
    explain_silence(survey, view.findings);
    co_return view;
}

}  // namespace wglan
