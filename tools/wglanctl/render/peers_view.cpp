// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/wglanctl/render/text.h"
#include "tools/wglanctl/render/views.h"

namespace wglan::ctl {
namespace {

std::string or_dash(std::string text) { return text.empty() ? "-" : text; }

std::string rtt_at(const Json& json) {
    auto rtt = number_at(json, {"rttMs"});
    return rtt ? human_rtt(*rtt) : "-";
}

std::string seconds_text(double seconds) {
    return human_duration(static_cast<std::int64_t>(std::min(seconds, 9e15)));
}

// While a peer is searched, those whose turn was this round's have the next round's; while it is alive the
// others wait for a doubt.
std::string next_try_at(const Json& json, bool searched) {
    if (auto next = number_at(json, {"nextTrySeconds"})) return "in " + seconds_text(*next);
    if (!searched) return text_at(json, {"result"}).starts_with("in use") ? "-" : "if needed";
    return text_at(json, {"result"}) == "being tried" ? "now" : "next round";
}

constexpr std::size_t kMostPrefixes = 3;

std::string prefixes_text(const Json& prefixes) {
    if (prefixes.size() <= kMostPrefixes) return join(prefixes, " ");
    Json few = Json::array();
    for (std::size_t i = 0; i < kMostPrefixes; ++i) few.push_back(prefixes[i]);
    return join(few, " ") + fmt::format(" +{} more", human_count(prefixes.size() - kMostPrefixes));
}

std::string rtt_text(const Json& peer) {
    std::string text = rtt_at(peer);
    if (auto least = number_at(peer, {"minRttMs"})) text += fmt::format(", at least {}", human_rtt(*least));
    if (auto loss = number_at(peer, {"probeLoss"}))
        text += fmt::format(", {:.0f} % of the last probes lost", *loss * 100);
    return text;
}

std::string candidates_table(const Json& candidates, bool searched, const Style& style) {
    Table table({{"CANDIDATE", false, 21},
                 {"SOURCE", false, 0, 2},
                 {"LAST RESULT", false, 12},
                 {"SCORE", true, 0, 1, true},
                 {"RTT", true, 0, 3},
                 {"NEXT TRY", false, 0, 4}},
                "  ");
    for (const auto& one : candidates) {
        auto score = number_at(one, {"score"});
        table.add({text_at(one, {"endpoint"}), text_at(one, {"source"}), or_dash(text_at(one, {"result"})),
                   score ? fmt::format("{:.0f}", *score) : "-", rtt_at(one), next_try_at(one, searched)});
    }
    return table.render(style);
}

std::string prefixes_table(const Json& prefixes, const Style& style) {
    Table table({{"PREFIX"}, {"CLASS", false, 0, 1}, {"SOURCE", false, 6, 2}}, "  ");
    for (const auto& one : prefixes)
        table.add(
            {text_at(one, {"prefix"}), or_dash(text_at(one, {"class"})), or_dash(text_at(one, {"source"}))});
    return table.render(style);
}

}  // namespace

Colour colour_of_state(std::string_view state) {
    if (state == "up" || state == "synced") return Colour::good;
    if (state == "down" || state == "quarantined") return Colour::bad;
    return Colour::warn;
}

std::string age_at(const Json& json, JsonPath path) {
    auto seconds = number_at(json, path);
    if (!seconds) return "never";
    return human_duration(static_cast<std::int64_t>(std::min(*seconds, 9e15))) + " ago";
}

std::string render_peers(const Json& peers, const Style& style) {
    const Json& list = list_at(peers, {"peers"});
    if (list.empty()) return "No peers are known.\n";
    Table table({{"PEER", false, 8},
                 {"STATE"},
                 {"ENDPOINT", false, 15, 8},
                 {"PATH", false, 0, 2},
                 {"HANDSHAKE", false, 0, 7},
                 {"RTT", true, 0, 6, true},
                 {"RECEIVED", true, 0, 4},
                 {"SENT", true, 0, 3},
                 {"PREFIXES", false, 18, 1},
                 {"WHY", false, 24, 5}});
    for (const auto& peer : list) {
        std::string state = text_at(peer, {"state"});
        table.add({text_at(peer, {"name"}), Cell(state, colour_of_state(state)),
                   or_dash(text_at(peer, {"endpoint"})), or_dash(text_at(peer, {"path"})),
                   age_at(peer, {"handshakeAgeSeconds"}), rtt_at(peer),
                   human_bytes(count_at(peer, {"rxBytes"})), human_bytes(count_at(peer, {"txBytes"})),
                   or_dash(prefixes_text(list_at(peer, {"prefixes"}))), text_at(peer, {"reason"})});
    }
    return table.render(style);
}

std::string render_peer(const Json& peer, const Style& style) {
    std::string state = text_at(peer, {"state"});
    std::string reason = text_at(peer, {"reason"});
    Fields fields;
    fields.add("Peer", text_at(peer, {"name"}) + (at(peer, {"agentless"}) == true ? " (runs no agent)" : ""));
    fields.add("State", reason.empty() ? state : state + ": " + reason, colour_of_state(state));
    fields.add("Public key", or_dash(text_at(peer, {"publicKey"})));
    fields.add("Address", or_dash(text_at(peer, {"address"})));
    fields.add("Endpoint", fmt::format("{}, {}, changed {}", or_dash(text_at(peer, {"endpoint"})),
                                       or_dash(text_at(peer, {"path"})),
                                       plural(count_at(peer, {"endpointChanges"}), "time")));
    if (at(peer, {"needsRelay"}) == true) fields.add("Relay", "needed: no direct path was found");
    std::string when = text_at(peer, {"lastHandshake"});
    fields.add("Handshake",
               when.empty() ? "never" : age_at(peer, {"handshakeAgeSeconds"}) + " (" + when + ")");
    if (auto next = number_at(peer, {"nextTrySeconds"})) fields.add("Next try", "in " + seconds_text(*next));
    fields.add("RTT", rtt_text(peer));
    fields.add("Traffic", fmt::format("{} received, {} sent", human_bytes(count_at(peer, {"rxBytes"})),
                                      human_bytes(count_at(peer, {"txBytes"}))));
    fields.add("Sources", or_dash(join(list_at(peer, {"sources"}))));
    std::string out = fields.render(style);
    if (const Json& list = list_at(peer, {"candidates"}); !list.empty())
        out += "\n" + candidates_table(list, number_at(peer, {"nextTrySeconds"}).has_value(), style);
    if (const Json& list = list_at(peer, {"prefixDetails"}); !list.empty())
        out += "\n" + prefixes_table(list, style);
    return out;
}

}  // namespace wglan::ctl
