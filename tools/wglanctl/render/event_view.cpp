// SPDX-License-Identifier: Apache-2.0
// Lines of `wglanctl monitor`. They come one by one, so that the columns have fixed widths; what is
// wider moves the rest of its line.
#include <fmt/format.h>

#include "tools/wglanctl/render/text.h"
#include "tools/wglanctl/render/views.h"

namespace wglan::ctl {
namespace {

constexpr std::size_t kTime = 15, kType = 9, kWhat = 20, kProtocol = 6, kFlow = 45, kPeer = 15;

std::string line(std::string_view time, std::string_view type, std::string_view what,
                 std::string_view protocol, std::string_view flow, std::string_view peer,
                 std::string_view interface) {
    return fmt::format("{}  {}  {}  {}  {}  {}  {}", pad(time, kTime), pad(type, kType), pad(what, kWhat),
                       pad(protocol, kProtocol), pad(flow, kFlow), pad(peer, kPeer), interface);
}

// "2026-11-21T12:00:00.250000Z" -> "12:00:00.250000".
std::string time_of_day(std::string time) {
    const auto date_end = time.find('T');
    if (date_end == std::string::npos || time.empty() || time.back() != 'Z') return time;
    return time.substr(date_end + 1, time.size() - date_end - 2);
}

std::string address(const Json& event, const char* host, const char* port) {
    std::string out = text_at(event, {host});
    if (!number_at(event, {port})) return out;
    if (out.find(':') != std::string::npos) out = "[" + out + "]";
    return out + ":" + std::to_string(count_at(event, {port}));
}

std::string what_of(const Json& event, std::string_view type) {
    if (type == "too_big")
        return fmt::format("{} B > MTU {}", count_at(event, {"length"}), count_at(event, {"mtu"}));
    if (type == "mss_clamp")
        return fmt::format("MSS {} -> {}", count_at(event, {"mssBefore"}), count_at(event, {"mss"}));
    if (type != "flow") return text_at(event, {"reason"});
    const auto packets = count_at(event, {"packets"});
    const std::string bytes = fmt::format("{} B", count_at(event, {"length"}));
    return packets > 1 ? fmt::format("1 of {}, {}", packets, bytes) : bytes;
}

Colour colour_of_event(std::string_view type) {
    if (type == "drop" || type == "guard") return Colour::bad;
    return type == "too_big" || type == "lost" ? Colour::warn : Colour::none;
}

std::string losses(const Json& event) {
    const std::string reason = text_at(event, {"reason"});
    return plural(count_at(event, {"events"}), "event") + " lost: " +
           (reason == "reader" ? "this terminal or pipe didn't take them in time"
                               : "more came at once than are reported");
}

}  // namespace

std::string render_event(const Json& event, const Style& style) {
    const std::string type = text_at(event, {"type"});
    if (type == "start")
        return paint(line("TIME (UTC)", "EVENT", "WHAT", "PROTO", "SOURCE -> DESTINATION", "PEER", "DEVICE"),
                     Colour::bold, style) +
               "\n";
    const std::string time = printable(time_of_day(text_at(event, {"time"})));
    if (type == "lost")
        return paint(fmt::format("{}  {}", pad(time, kTime), losses(event)), Colour::warn, style) + "\n";
    if (type == "state" || type == "endpoint") {
        const std::string text =
            fmt::format("{}  {}  {}: {} -> {} ({})", pad(time, kTime), pad(type, kType),
                        printable(text_at(event, {"peer"})), printable(text_at(event, {"before"})),
                        printable(text_at(event, {"after"})), printable(text_at(event, {"reason"})));
        const bool bad = type == "state" && text_at(event, {"after"}) == "down";
        return paint(text, bad ? Colour::bad : Colour::none, style) + "\n";
    }
    const std::string flow =
        address(event, "source", "sourcePort") + " -> " + address(event, "destination", "destinationPort");
    const std::string peer = text_at(event, {"peer"});
    const std::string text =
        line(time, printable(type), printable(what_of(event, type)), printable(text_at(event, {"protocol"})),
             printable(flow), peer.empty() ? "-" : printable(peer), printable(text_at(event, {"interface"})));
    return paint(text, colour_of_event(type), style) + "\n";
}

}  // namespace wglan::ctl
