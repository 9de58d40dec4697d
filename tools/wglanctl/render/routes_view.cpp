// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/wglanctl/render/text.h"
#include "tools/wglanctl/render/views.h"

namespace wglan::ctl {
namespace {

std::string or_dash(std::string text) { return text.empty() ? "-" : text; }

Cell kernel_route(const Json& route) {
    std::string state = text_at(route, {"kernelRoute", "state"});
    if (state == "missing") return Cell("missing", Colour::bad);
    std::string in_force = text_at(route, {"kernelRoute", "inForce"});
    if (state != "present") return Cell(or_dash(in_force));
    std::string device = "dev " + text_at(route, {"kernelRoute", "device"});
    if (text_at(route, {"kernelRoute", "form"}) == "override") {
        std::string fault = text_at(route, {"kernelRoute", "fault"});
        return Cell(device + ", override" + (fault.empty() ? "" : " (" + fault + ")"), Colour::warn);
    }
    if (!in_force.empty() && in_force != device) return Cell(in_force + "; ours behind it");
    return Cell(device + ", backup");
}

std::string hits(const Json& route) {
    const auto it = route.find("hits");
    return it != route.end() && it->is_number_unsigned() ? std::to_string(it->get<std::uint64_t>()) : "-";
}

Colour colour_of_action(std::string_view action) {
    return action == "drop" ? Colour::bad : action == "pass" ? Colour::dim : Colour::none;
}

}  // namespace

std::string render_routes(const Json& routes, const Style& style) {
    std::string out;
    if (list_at(routes, {"routes"}).empty()) {
        out = "No prefixes are steered.\n";
    } else {
        Table table({{"PREFIX"},
                     {"PEER", false, 8},
                     {"ACTION"},
                     {"HITS", true, 0, 2},
                     {"MTU", true, 0, 4},
                     {"CLASS", false, 0, 3},
                     {"SOURCE", false, 8, 5},
                     {"KERNEL ROUTE", false, 0, 1}});
        for (const auto& route : list_at(routes, {"routes"})) {
            auto mtu = count_at(route, {"mtu"});
            std::string action = text_at(route, {"action"});
            table.add({text_at(route, {"prefix"}), or_dash(text_at(route, {"peer"})),
                       Cell(action, colour_of_action(action)), hits(route),
                       mtu == 0 ? "-" : std::to_string(mtu), or_dash(text_at(route, {"class"})),
                       or_dash(text_at(route, {"source"})), kernel_route(route)});
        }
        out = table.render(style);
    }
    Table pods({{"PODS"}, {"WHY (steering.pods: cniDown)", false, 20}});
    bool any = false;
    for (const auto& route : list_at(routes, {"routes"})) {
        const auto why = text_at(route, {"why"});
        if (why.empty()) continue;
        pods.add({text_at(route, {"prefix"}), why});
        any = true;
    }
    if (any) out += "\n" + pods.render(style);
    const Json& refused = list_at(routes, {"refused"});
    if (refused.empty()) return out;
    out += "\nRefused claims:\n";
    Table table({{"CLAIM"}, {"BY", false, 8}, {"REASON", false, 20}});
    for (const auto& one : refused)
        table.add({text_at(one, {"prefix"}), or_dash(text_at(one, {"peer"})),
                   Cell(text_at(one, {"reason"}), Colour::warn)});
    return out + table.render(style);
}

}  // namespace wglan::ctl
