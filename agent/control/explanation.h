// SPDX-License-Identifier: Apache-2.0
// Question and answer of `wglanctl explain`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/ip.h"
#include "agent/model/peer.h"

namespace wglan {

// A packet that this host sends or forwards. What isn't given is not judged.
struct ExplainRequest {
    IpAddress destination;
    std::optional<IpAddress> source;                             // same family
    std::optional<std::uint8_t> protocol;                        // IPPROTO_*
    std::optional<std::uint16_t> source_port, destination_port;  // host order; TCP and UDP
    std::uint32_t mark = 0;                                      // skb->mark
};

enum class Verdict { steer, pass, drop, local };
std::string_view to_string(Verdict verdict);

struct ExplainStep {
    std::string step;               // "route", "mark", "outer packet" ...
    std::optional<Verdict> result;  // none = it decides nothing, go on ("continue")
    std::string detail;
};

struct Explanation {
    std::vector<ExplainStep> steps;  // the last one decides
    Verdict verdict = Verdict::pass;
    std::string via;   // interface that the packet leaves by; "" = none
    std::string peer;  // "" = none
    std::optional<PeerState> peer_state;
    std::string reason;      // with drop and pass: one phrase
    bool at_uplink = false;  // it was the program at an uplink's egress that decided
    bool direct = false;     // steered from a pod past the host's stack
};

}  // namespace wglan
