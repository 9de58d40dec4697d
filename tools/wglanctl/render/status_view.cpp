// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/wglanctl/render/text.h"
#include "tools/wglanctl/render/views.h"

namespace wglan::ctl {
namespace {

constexpr std::size_t kMostRefused = 8;

std::string node_line(const Json& status) {
    std::string out = text_at(status, {"node", "name"});
    out += fmt::format(", agent {} (pid {}), up {}", text_at(status, {"version"}), count_at(status, {"pid"}),
                       human_duration(static_cast<std::int64_t>(count_at(status, {"uptimeSeconds"}))));
    return out;
}

std::string interface_line(const Json& node) {
    std::string out = text_at(node, {"interface"});
    if (auto address = text_at(node, {"address"}); !address.empty()) out += " " + address;
    if (auto port = count_at(node, {"listenPort"}); port != 0) out += fmt::format(", port {}", port);
    if (auto mtu = count_at(node, {"mtu"}); mtu != 0) out += fmt::format(", MTU {}", mtu);
    if (auto backend = text_at(node, {"backend"}); !backend.empty()) out += ", " + backend + " WireGuard";
    return out;
}

// "; 12 Nodes without an agent: a, b, ..."
std::string agentless_text(const Json& source) {
    const auto count = count_at(source, {"nodesWithoutAgent"});
    if (count == 0) return {};
    std::string names;
    const Json& some = list_at(source, {"someWithoutAgent"});
    for (const auto& name : some)
        if (name.is_string()) names += (names.empty() ? ": " : ", ") + name.get<std::string>();
    if (!names.empty() && some.size() < count) names += ", ...";
    return fmt::format("; {} without an agent{}", plural(count, "Node"), names);
}

void add_sources(const Json& status, Fields& fields) {
    std::string label = "Sources";
    for (const auto& source : list_at(status, {"sources"})) {
        std::string state = text_at(source, {"state"});
        std::string line = fmt::format("{}: {}, {}", text_at(source, {"name"}), state,
                                       plural(count_at(source, {"records"}), "record"));
        if (auto error = text_at(source, {"lastError"}); !error.empty() && state != "synced")
            line += ": " + error;
        if (at(source, {"lagSeconds"}).is_number_unsigned())
            line += fmt::format(", heard {} ago",
                                human_duration(static_cast<std::int64_t>(count_at(source, {"lagSeconds"}))));
        line += agentless_text(source);
        fields.add(label, line, state == "synced" ? Colour::none : colour_of_state(state));
        label.clear();
        for (const auto& note : list_at(source, {"notes"}))
            if (note.is_string()) fields.add(label, "  " + note.get<std::string>(), Colour::warn);
    }
    if (!label.empty()) fields.add(label, "none");
}

void add_peer_summary(const Json& status, Fields& fields) {
    const Json& peers = list_at(status, {"peers"});
    std::map<std::string, std::uint64_t> states;
    for (const auto& peer : peers) ++states[text_at(peer, {"state"})];
    std::string line = peers.empty() ? "none known" : fmt::format("{} of {} up", states["up"], peers.size());
    for (const auto& [state, count] : states)
        if (state != "up" && count != 0) line += fmt::format(", {} {}", count, state);
    fields.add("Peers", line, states["up"] == peers.size() ? Colour::none : Colour::warn);
}

void add_guard(const Json& guard, Fields& fields) {
    if (!guard.is_object()) return;  // of an agent that has none
    const Json& enabled = at(guard, {"enabled"});
    if (!enabled.is_boolean() || !enabled.get<bool>()) {
        fields.add("Guard", "off");
        return;
    }
    std::string line = plural(count_at(guard, {"handshakesPerSecond"}), "handshake") + " a second and source";
    bool fallback = false;
    for (const auto& one : list_at(guard, {"interfaces"})) {
        line += fmt::format(", {} ({})", text_at(one, {"interface"}), text_at(one, {"mode"}));
        if (const auto note = text_at(one, {"note"}); !note.empty()) {
            line += ": " + note;
            fallback = true;
        }
    }
    const bool nowhere = list_at(guard, {"interfaces"}).empty();
    fields.add("Guard", nowhere ? "at no device" : line, nowhere || fallback ? Colour::warn : Colour::none);
}

void add_steering(const Json& steering, Fields& fields) {
    std::map<std::string, std::string> hooks;  // in the order of their names
    for (const auto& one : list_at(steering, {"attachments"})) {
        std::string& line = hooks[text_at(one, {"interface"})];
        line += fmt::format("{}{} ({})", line.empty() ? "" : ", ", text_at(one, {"hook"}),
                            text_at(one, {"kind"}));
    }
    std::string label = "Steering";
    if (hooks.empty()) {
        fields.add(label, "no programs attached", Colour::bad);
        label.clear();
    }
    for (const auto& [interface, line] : hooks) {
        fields.add(label, interface + " " + line);
        label.clear();
    }
    fields.add("Prefixes",
               fmt::format("{} IPv4, {} IPv6", human_count(count_at(steering, {"prefixes", "ipv4"})),
                           human_count(count_at(steering, {"prefixes", "ipv6"}))));
    if (text_at(steering, {"pods"}) == "cniDown") {
        const auto steered = count_at(steering, {"cni", "steered"});
        fields.add(
            "Pods",
            fmt::format(
                "{} prefixes left to the CNI, {} steered because it doesn't reach them (wglanctl routes)",
                count_at(steering, {"cni", "left"}), steered),
            steered == 0 ? Colour::none : Colour::warn);
    }
    const Json& counters = at(steering, {"counters"});
    fields.add("Packets", fmt::format("{} steered, {} passed", human_count(count_at(counters, {"steered"})),
                                      human_count(count_at(counters, {"passed"}))));
    std::uint64_t total = 0;
    std::string reasons;
    if (const Json& dropped = at(counters, {"dropped"}); dropped.is_object())
        for (const auto& [reason, count] : dropped.items()) {
            if (!count.is_number_unsigned() || count.get<std::uint64_t>() == 0) continue;
            total += count.get<std::uint64_t>();
            reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", reason,
                                   human_count(count.get<std::uint64_t>()));
        }
    fields.add("Dropped", total == 0 ? "0" : fmt::format("{}: {}", human_count(total), reasons),
               total == 0 ? Colour::none : Colour::warn);
    add_guard(at(steering, {"guard"}), fields);
}

void add_notes(const Json& status, Fields& fields) {
    std::string label = "Refused";
    const Json& refused = list_at(status, {"refused"});
    for (std::size_t i = 0; i < refused.size() && i < kMostRefused; ++i) {
        const Json& one = refused[i];
        fields.add(label,
                   fmt::format("{} from {}: {}", text_at(one, {"prefix"}), text_at(one, {"peer"}),
                               text_at(one, {"reason"})),
                   Colour::warn);
        label.clear();
    }
    if (refused.size() > kMostRefused)
        fields.add(label,
                   fmt::format("and {} more: wglanctl routes", human_count(refused.size() - kMostRefused)),
                   Colour::warn);
    label = "Warnings";
    if (auto error = text_at(status, {"settings", "error"}); !error.empty()) {
        fields.add(label, "the configuration was refused, the old settings run on: " + error, Colour::bad);
        label.clear();
    }
    for (const auto& warning : list_at(status, {"warnings"})) {
        if (!warning.is_string()) continue;
        fields.add(label, warning.get<std::string>(), Colour::warn);
        label.clear();
    }
}

}  // namespace

std::string render_status(const Json& status, const Style& style) {
    Fields top;
    top.add("Node", node_line(status));
    top.add("Interface", interface_line(at(status, {"node"})));
    top.add(
        "Public key",
        fmt::format("{} ({} old)", text_at(status, {"node", "publicKey"}),
                    human_duration(static_cast<std::int64_t>(count_at(status, {"node", "keyAgeSeconds"})))));
    add_sources(status, top);
    add_steering(at(status, {"steering"}), top);
    add_notes(status, top);
    add_peer_summary(status, top);
    std::string out = top.render(style);
    if (!list_at(status, {"peers"}).empty()) out += "\n" + render_peers(status, style);
    return out;
}

}  // namespace wglan::ctl
