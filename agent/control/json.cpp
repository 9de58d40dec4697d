// SPDX-License-Identifier: Apache-2.0
#include "agent/control/json.h"

#include <algorithm>

namespace wglan {
namespace {

template <class T>
Json optional(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json seconds(const std::optional<Seconds>& value) { return value ? Json(value->count()) : Json(nullptr); }

template <class Key>
std::string text(const Key& key) {
    return key.is_zero() ? std::string() : to_string(key);
}

std::string text(const IpAddress& address) {
    return address.is_unspecified() ? std::string() : address.to_string();
}

template <class Items>
Json strings(const Items& items) {
    Json out = Json::array();
    for (const auto& item : items) out.push_back(item.to_string());
    return out;
}

Json refusals(const std::vector<Refusal>& refused) {
    Json out = Json::array();
    for (const auto& one : refused)
        out.push_back({{"peer", one.peer}, {"prefix", one.prefix}, {"reason", one.reason}});
    return out;
}

Json node_json(const NodeView& node) {
    return {{"name", node.name},
            {"publicKey", text(node.public_key)},
            {"address", text(node.address)},
            {"interface", node.interface},
            {"listenPort", node.listen_port},
            {"mtu", node.mtu},
            {"backend", node.backend},
            {"keyAgeSeconds", node.key_age.count()}};
}

Json source_json(const SourceStatus& source) {
    Json json = {{"name", source.name},
                 {"state", to_string(source.state)},
                 {"records", source.records},
                 {"lastSync", rfc3339(source.last_sync)},
                 {"lastError", source.last_error},
                 {"lagSeconds", source.lag ? Json(source.lag->count()) : Json()},
                 {"notes", source.notes}};
    if (source.agentless) {
        json["nodesWithoutAgent"] = *source.agentless;
        json["someWithoutAgent"] = source.agentless_names;
    }
    return json;
}

Json guard_json(const GuardView& guard) {
    Json interfaces = Json::array();
    for (const auto& place : guard.places)
        interfaces.push_back({{"interface", place.attachment.interface},
                              {"mode", to_string(place.mode)},
                              {"note", place.note}});
    return {{"enabled", guard.enabled},
            {"handshakesPerSecond", guard.handshakes_per_s},
            {"interfaces", std::move(interfaces)}};
}

Json steering_json(const SteeringView& steering) {
    Json attachments = Json::array();
    for (const auto& one : steering.attachments)
        attachments.push_back({{"interface", one.interface},
                               {"hook", to_string(one.hook)},
                               {"kind", to_string(one.kind)},
                               {"program", one.program}});
    const auto& counters = steering.counters;
    Json dropped = Json::object();
    for (const auto& [reason, count] : counters.dropped) dropped[reason] = count;
    return {{"attachments", std::move(attachments)},
            {"podDatapath", steering.direct ? "direct" : "host"},
            {"pods", steering.pods_when_cni_down ? "cniDown" : "always"},
            {"cni",
             {{"left", steering.left_to_cni},
              {"steered", steering.cni_down},
              {"failovers", steering.cni_failovers}}},
            {"prefixes", {{"ipv4", steering.prefixes4}, {"ipv6", steering.prefixes6}}},
            {"counters",
             {{"steered", counters.steered4 + counters.steered6},
              {"passed", counters.passed},
              {"dropped", std::move(dropped)},
              {"mssClamped", counters.mss_clamped},
              {"packetTooBig", counters.packet_too_big},
              {"forwarded", counters.forwarded},
              {"handshakesCloned", counters.cloned},
              {"direct",
               {{"sent", counters.direct_sent},
                {"delivered", counters.direct_delivered},
                {"known", counters.direct_known}}}}},
            {"guard", guard_json(steering.guard)}};
}

Json candidates_json(const std::vector<CandidateView>& candidates) {
    Json out = Json::array();
    for (const auto& one : candidates)
        out.push_back({{"endpoint", one.endpoint.to_string()},
                       {"source", to_string(one.source)},
                       {"result", one.result},
                       {"score", optional(one.score)},
                       {"rttMs", optional(one.rtt_ms)},
                       {"nextTrySeconds", seconds(one.next_try)}});
    return out;
}

std::string_view to_string(KernelRouteView::State state) {
    switch (state) {
        case KernelRouteView::State::not_wanted:
            return "none";
        case KernelRouteView::State::present:
            return "present";
        case KernelRouteView::State::missing:
            return "missing";
    }
    return "?";
}

Json route_json(const RouteView& route) {
    const auto& kernel = route.kernel_route;
    bool present = kernel.state == KernelRouteView::State::present;
    return {{"prefix", route.prefix.to_string()},
            {"peer", route.peer},
            {"action", to_string(route.action)},
            {"mtu", route.mtu == 0 ? Json(nullptr) : Json(route.mtu)},
            {"source", route.source},
            {"class", route.cls ? to_string(*route.cls) : ""},
            {"why", route.why},
            {"hits", route.hits ? Json(*route.hits) : Json(nullptr)},
            {"kernelRoute",
             {{"state", to_string(kernel.state)},
              {"metric", present ? Json(kernel.metric) : Json(nullptr)},
              {"device", kernel.device},
              {"form", !present           ? ""
                       : kernel.overrides ? "override"
                                          : "backup"},
              {"fault", kernel.fault},
              {"inForce", kernel.in_force}}}};
}

}  // namespace

Json to_json(const PeerView& view, UnixTime now) {
    Json prefixes = Json::array();
    Json details = Json::array();
    for (const auto& owned : view.prefixes) {
        prefixes.push_back(owned.prefix.to_string());
        details.push_back({{"prefix", owned.prefix.to_string()},
                           {"class", to_string(owned.cls)},
                           {"source", owned.source}});
    }
    bool shaken = view.last_handshake != 0;
    return {{"name", view.name},
            {"publicKey", text(view.public_key)},
            {"address", text(view.address)},
            {"state", to_string(view.state)},
            {"reason", view.reason},
            {"endpoint", view.endpoint ? view.endpoint->to_string() : ""},
            {"path", view.path},
            {"needsRelay", view.needs_relay},
            {"candidates", candidates_json(view.candidates)},
            {"lastHandshake", rfc3339(view.last_handshake)},
            {"handshakeAgeSeconds",
             shaken ? Json(std::max<UnixTime>(0, now - view.last_handshake)) : Json(nullptr)},
            {"rttMs", optional(view.rtt_ms)},
            {"minRttMs", optional(view.min_rtt_ms)},
            {"probeLoss", optional(view.probe_loss)},
            {"rxBytes", view.rx_bytes},
            {"txBytes", view.tx_bytes},
            {"prefixes", std::move(prefixes)},
            {"prefixDetails", std::move(details)},
            {"sources", view.sources},
            {"endpointChanges", view.endpoint_changes},
            {"nextTrySeconds", seconds(view.next_try)},
            {"agentless", view.agentless}};
}

Json to_json(const StatusView& view, UnixTime now) {
    Json sources = Json::array();
    for (const auto& source : view.sources) sources.push_back(source_json(source));
    Json peers = Json::array();
    for (const auto& peer : view.peers) peers.push_back(to_json(peer, now));
    return {{"version", view.version},
            {"pid", view.pid},
            {"uptimeSeconds", view.uptime.count()},
            {"node", node_json(view.node)},
            {"sources", std::move(sources)},
            {"peers", std::move(peers)},
            {"refused", refusals(view.refused)},
            {"steering", steering_json(view.steering)},
            {"settings",
             {{"file", view.settings.file},
              {"loaded", rfc3339(view.settings.loaded)},
              {"error", view.settings.error}}},
            {"warnings", view.warnings}};
}

Json to_json(const RoutesView& view) {
    Json routes = Json::array();
    for (const auto& route : view.routes) routes.push_back(route_json(route));
    return {{"routes", std::move(routes)}, {"refused", refusals(view.refused)}};
}

Json to_json(const ExplainRequest& request, const Explanation& explanation) {
    Json steps = Json::array();
    for (const auto& step : explanation.steps)
        steps.push_back({{"step", step.step},
                         {"result", step.result ? to_string(*step.result) : "continue"},
                         {"detail", step.detail}});
    return {{"destination", request.destination.to_string()},
            {"steps", std::move(steps)},
            {"verdict", to_string(explanation.verdict)},
            {"via", explanation.via},
            {"peer", explanation.peer},
            {"peerState", explanation.peer_state ? to_string(*explanation.peer_state) : ""},
            {"direct", explanation.direct},
            {"reason", explanation.reason}};
}

Json to_json(const RecordView& view) {
    const Record& record = view.record;
    Json observed = Json::object();
    for (const auto& [key, endpoint] : record.observed) observed[key] = endpoint.to_string();
    return {{"name", record.name},
            {"publicKey", text(record.public_key)},
            {"identity", text(record.identity)},
            {"address", text(record.address)},
            {"endpoints", strings(record.endpoints)},
            {"nodeAddresses", strings(record.node_addresses)},
            {"podPrefixes", strings(record.pod_prefixes)},
            {"prefixes", strings(record.prefixes)},
            {"labels", record.labels},
            {"observed", std::move(observed)},
            {"sequence", record.sequence},
            {"issued", rfc3339(record.issued)},
            {"publishedTo", view.published_to}};
}

Json to_json(const KeysView& view) {
    return {{"publicKey", text(view.public_key)}, {"identity", text(view.identity)},
            {"ageSeconds", view.age.count()},     {"created", rfc3339(view.created)},
            {"keyFile", view.key_file},           {"identityFile", view.identity_file}};
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace wglan
