// SPDX-License-Identifier: Apache-2.0
#include "agent/control/explain_pod.h"

#include <netinet/in.h>

#include <algorithm>

#include <fmt/format.h>

#include "agent/control/explain_tables.h"

namespace wglan {
namespace {

// Each step_ returns true when the program's verdict is found. A verdict of `pass` is to the host's stack.
class PodWalk {
public:
    PodWalk(const ExplainRequest& request, const ExplainState& state, Explanation& out)
        : request_(request), state_(state), pod_(*state.pod_side), out_(out) {}

    bool run() {
        if (!step_device()) return false;
        if (!step_prefix() && !step_source() && !step_packet() && !step_flow() && !step_peer() &&
            !step_interface()) {
            step_mtu();
            decide(Verdict::steer, "direct",
                   fmt::format("past the host's stack into {} for {}", state_.interface, peer_->name), "");
        }
        step_program();
        if (verdict_ == Verdict::pass) {
            out_.peer.clear();
            out_.peer_state.reset();
            note("stack", "left to the host's stack: " + reason_);
            return false;
        }
        out_.verdict = verdict_;
        out_.reason = reason_;
        out_.direct = verdict_ == Verdict::steer;
        if (out_.direct) out_.via = state_.interface;
        return true;
    }

private:
    void note(std::string step, std::string detail) {
        out_.steps.push_back({std::move(step), std::nullopt, std::move(detail)});
    }
    bool go_on(std::string step, std::string detail) {
        note(std::move(step), std::move(detail));
        return false;
    }
    bool decide(Verdict verdict, std::string step, std::string detail, std::string reason) {
        const bool ends = verdict != Verdict::pass;
        out_.steps.push_back(
            {std::move(step), ends ? std::optional(verdict) : std::nullopt, std::move(detail)});
        verdict_ = verdict;
        reason_ = std::move(reason);
        return true;
    }
    bool leave(std::string step, std::string detail, std::string reason) {
        return decide(Verdict::pass, std::move(step), std::move(detail), std::move(reason));
    }

    // False: the program isn't asked.
    bool step_device() {
        const std::string source = request_.source->to_string();
        if (pod_.device.empty()) {
            note("pod device",
                 fmt::format("the kernel has no route to {}, so it is no pod of this host", source));
            return false;
        }
        if (!pod_.entry) {
            note("pod device", fmt::format("{} is behind {}, which is no device towards pods: what it sends "
                                           "goes to the host's stack",
                                           source, pod_.device));
            return false;
        }
        const std::string port =
            pod_.port.empty() ? "" : fmt::format(", whose port {} it enters by", pod_.port);
        note("pod device", fmt::format("{} is behind {}{}: {} judges what it sends before the host's stack",
                                       source, pod_.device, port, kPodProgram));
        return true;
    }

    bool step_prefix() {
        const SteerRoute* route = longest_match(state_, request_.destination);
        if (route == nullptr || link_scope_of(request_.destination) != nullptr)
            return leave("pod prefix", "no steered prefix holds the destination", "no steered prefix");
        const std::string prefix = route->prefix.to_string();
        if (const auto left = state_.left_to_cni.find(route->prefix);
            route->action == SteerAction::pass && left != state_.left_to_cni.end())
            return leave(
                "pod prefix",
                fmt::format("{} is left to the CNI, {} (steering.pods: cniDown)", prefix, left->second),
                "left to the CNI, whose route leads on");
        if (route->action != SteerAction::steer) {
            const bool drops = route->action == SteerAction::drop;
            const std::string why =
                prefix + (drops ? " is to be dropped, which uplinks do" : " is excluded from steering");
            return leave("pod prefix", why, why);
        }
        peer_ = peer_of(state_, *route);
        const std::string name = peer_ != nullptr ? peer_->name : fmt::format("peer {}", route->peer);
        if (!route->pods)
            return leave("pod prefix", fmt::format("{} is {}'s, but none of its pod prefixes", prefix, name),
                         "no pod of a peer");
        route_ = route;
        return go_on("pod prefix", fmt::format("longest match is {}, pods of {}", prefix, name));
    }

    bool step_source() {
        const auto own = std::find_if(pod_.own.begin(), pod_.own.end(), [&](const Prefix& prefix) {
            return prefix.contains(*request_.source);
        });
        if (own == pod_.own.end())
            return leave("pod source", "the source is in none of this node's pod prefixes",
                         "the source is no pod's");
        return go_on("pod source", fmt::format("the source is in {}, pods of this node", own->to_string()));
    }

    bool is_echo() const {
        return request_.destination.is_v4() ? request_.protocol == IPPROTO_ICMP
                                            : request_.protocol == IPPROTO_ICMPV6;
    }
    bool has_ports() const { return request_.protocol == IPPROTO_TCP || request_.protocol == IPPROTO_UDP; }

    bool step_packet() {
        if (!request_.protocol)
            return go_on("pod packet", "taken for TCP, UDP or an echo; all else goes to the host's stack");
        if (is_echo())
            return go_on("pod packet",
                         "taken for an echo; errors go the way of the flow that they are about, all else to "
                         "the host's stack");
        if (has_ports())
            return go_on("pod packet", "TCP or UDP; fragments and the like go to the host's stack");
        return leave("pod packet", "neither TCP, UDP nor an echo: only the host's stack can judge it",
                     "neither TCP, UDP nor an echo");
    }

    bool step_flow() {
        if (is_echo()) return go_on("pod flow", "conntrack can't be asked about echo");
        if (!request_.protocol || !request_.source_port || !request_.destination_port)
            return go_on(
                "pod flow",
                "not judged without protocol and both ports: a flow that conntrack knows goes to the "
                "host's stack");
        if (!pod_.said)
            return go_on("pod flow", "not judged: a flow that conntrack knows goes to the host's stack");
        if (!pod_.said->known) return go_on("pod flow", "conntrack has no entry of this flow");
        return leave("pod flow",
                     "conntrack has an entry of this flow: it is translated, or began in the host's stack",
                     "conntrack knows the flow");
    }

    bool step_peer() {
        if (peer_ == nullptr)
            return decide(Verdict::drop, "pod peer",
                          fmt::format("peer {} of the prefix is not in the peers table", route_->peer),
                          "the prefix's peer is not in the peers table");
        out_.peer = peer_->name;
        out_.peer_state = peer_->state;
        const std::string cause = fmt::format("{} is {}", peer_->name, to_string(peer_->state));
        if (is_reachable(*peer_)) return go_on("pod peer", cause);
        if (peer_->state == PeerState::quarantined)
            return decide(Verdict::drop, "pod peer", cause, "the peer is quarantined");
        const bool unknown = peer_->state == PeerState::unknown;
        return fall_back("pod peer", cause, unknown ? "whenUnknown" : "whenDown",
                         unknown ? peer_->when_unknown : peer_->when_down);
    }

    bool step_interface() {
        if (state_.config.interface_ifindex != 0) return false;
        return fall_back("pod interface", state_.interface + " does not exist", "whenDown", peer_->when_down);
    }

    bool fall_back(std::string step, const std::string& cause, const char* setting, Fallback fallback) {
        const std::string value = fmt::format("peers.{}: {}", setting, to_string(fallback));
        return decide(fallback == Fallback::drop ? Verdict::drop : Verdict::pass, std::move(step),
                      fmt::format("{}; {}", cause, value), fmt::format("{}, {}", cause, value));
    }

    void step_mtu() {
        const unsigned mtu = route_->mtu != 0 ? route_->mtu : state_.config.interface_mtu;
        if (mtu != 0)
            note("pod mtu",
                 fmt::format("packets up to {} bytes go on; larger ones are answered with packet-too-big",
                             mtu));
    }

    // The tables say why; the program that reads them says what.
    void step_program() {
        if (!pod_.said) return note("pod program", "not replayed: " + pod_.not_replayed);
        const Verdict said = pod_.said->verdict;
        const bool agrees = said == verdict_;
        std::string detail = fmt::format("the loaded program, run on such a packet from {}, says {}",
                                         pod_.port.empty() ? pod_.device : pod_.port, to_string(said));
        if (!agrees) {
            detail += ", other than the tables";
            for (ExplainStep& step : out_.steps) step.result.reset();
            verdict_ = said;
            reason_ = "the loaded program decides otherwise than the tables say";
        }
        out_.steps.push_back(
            {"pod program", said == Verdict::pass ? std::nullopt : std::optional(said), std::move(detail)});
    }

    const ExplainRequest& request_;
    const ExplainState& state_;
    const PodSide& pod_;
    Explanation& out_;
    const SteerRoute* route_ = nullptr;
    const SteerPeer* peer_ = nullptr;
    Verdict verdict_ = Verdict::pass;
    std::string reason_;
};

}  // namespace

bool explain_from_pod(const ExplainRequest& request, const ExplainState& state, Explanation& out) {
    return request.source && state.pod_side && PodWalk(request, state, out).run();
}

}  // namespace wglan
