// SPDX-License-Identifier: Apache-2.0
#include "agent/control/doctor_view.h"

namespace wglan {
namespace {

template <class T>
Json optional(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json nat_json(const NatVerdict& verdict) {
    Json seen = Json::array();
    for (const Endpoint& endpoint : verdict.seen) seen.push_back(endpoint.to_string());
    return {{"family", verdict.family == Family::v4 ? "ipv4" : "ipv6"},
            {"mapping", to_string(verdict.mapping)},
            {"keepsPort", optional(verdict.keeps_port)},
            {"carrierGrade", verdict.carrier_grade},
            {"seen", std::move(seen)},
            {"seenBy", verdict.peers},
            {"fromRecords", verdict.from_records}};
}

Json asked_json(const AskedPeerView& asked) {
    Json knocks = Json::array();
    for (const KnockResult& knock : asked.knocks)
        knocks.push_back({{"target", knock.target.to_string()}, {"result", to_string(knock.outcome)}});
    return {{"peer", asked.peer},
            {"endpoint", asked.endpoint.to_string()},
            {"status", asked.status},
            {"seen", asked.seen ? asked.seen->to_string() : ""},
            {"clockOffsetSeconds", optional(asked.clock_offset_s)},
            {"knocks", std::move(knocks)}};
}

}  // namespace

Json to_json(const DoctorView& view) {
    Json nat = Json::array(), asked = Json::array();
    for (const NatVerdict& verdict : view.nat) nat.push_back(nat_json(verdict));
    for (const AskedPeerView& one : view.asked) asked.push_back(asked_json(one));
    return {{"version", view.version},
            {"checks", to_json(view.findings)},
            {"nat", std::move(nat)},
            {"reachability", std::move(asked)},
            {"settings",
             {{"interface", view.interface},
              {"listenPort", view.listen_port},
              {"firewallMark", view.firewall_mark},
              {"firewallMarkMask", view.firewall_mark_mask},
              {"podDatapath", view.direct ? "direct" : "host"}}}};
}

}  // namespace wglan
