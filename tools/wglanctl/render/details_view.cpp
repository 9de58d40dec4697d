// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/wglanctl/render/text.h"
#include "tools/wglanctl/render/views.h"

namespace wglan::ctl {
namespace {

std::string or_none(std::string text) { return text.empty() ? "none" : text; }

Colour colour_of_verdict(std::string_view verdict) {
    return verdict == "steer" ? Colour::good : verdict == "drop" ? Colour::bad : Colour::none;
}

// "verdict: steer via wglan0 to node2 (up)", "verdict: pass via eth0: no steered prefix".
std::string verdict_line(const Json& explanation) {
    std::string verdict = text_at(explanation, {"verdict"});
    std::string out = "verdict: " + verdict;
    std::string via = text_at(explanation, {"via"});
    if (!via.empty()) out += " via " + via;
    std::string peer = text_at(explanation, {"peer"});
    if (verdict == "steer" && !peer.empty())
        out += fmt::format(" to {} ({})", peer, text_at(explanation, {"peerState"}));
    if (at(explanation, {"direct"}) == true) out += ", past the host's stack";
    std::string reason = text_at(explanation, {"reason"});
    if (!reason.empty()) out += ": " + reason;
    return out;
}

std::string labels_line(const Json& labels) {
    std::string out;
    if (labels.is_object())
        for (const auto& [key, value] : labels.items())
            if (value.is_string()) out += (out.empty() ? "" : ", ") + key + "=" + value.get<std::string>();
    return out;
}

}  // namespace

std::string render_explanation(const Json& explanation, const Style& style) {
    const Json& steps = list_at(explanation, {"steps"});
    std::size_t label_width = 0;
    for (const auto& step : steps)
        label_width = std::max(label_width, display_width(printable(text_at(step, {"step"}))));
    std::string out;
    unsigned number = 0;
    for (const auto& step : steps) {
        std::string front =
            fmt::format("{:>2}. {}  ", ++number, pad(printable(text_at(step, {"step"})), label_width));
        std::size_t start = display_width(front);
        std::size_t room = style.width > start + 20 ? style.width - start : 0;
        std::string result = text_at(step, {"result"});
        for (const auto& line : wrap(printable(text_at(step, {"detail"})), room)) {
            out += front +
                   paint(line, result == "continue" ? Colour::none : colour_of_verdict(result), style) + "\n";
            front = std::string(start, ' ');
        }
    }
    Colour colour = colour_of_verdict(text_at(explanation, {"verdict"}));
    return out + paint(printable(verdict_line(explanation)), colour, style) + "\n";
}

std::string render_record(const Json& record, const Style& style) {
    Fields fields;
    fields.add("Name", text_at(record, {"name"}));
    fields.add("Public key", text_at(record, {"publicKey"}));
    fields.add("Identity", text_at(record, {"identity"}));
    fields.add("Address", or_none(text_at(record, {"address"})));
    fields.add("Endpoints", or_none(join(list_at(record, {"endpoints"}))));
    fields.add("Node addresses", or_none(join(list_at(record, {"nodeAddresses"}))));
    fields.add("Pod prefixes", or_none(join(list_at(record, {"podPrefixes"}))));
    fields.add("Other prefixes", or_none(join(list_at(record, {"prefixes"}))));
    fields.add("Labels", or_none(labels_line(at(record, {"labels"}))));
    if (const Json& observed = at(record, {"observed"}); observed.is_object() && !observed.empty())
        fields.add("Observed", labels_line(observed));
    fields.add("Sequence", std::to_string(count_at(record, {"sequence"})));
    fields.add("Issued", text_at(record, {"issued"}));
    fields.add("Published to", or_none(join(list_at(record, {"publishedTo"}))));
    return fields.render(style);
}

std::string render_keys(const Json& keys, const Style& style) {
    std::string created = text_at(keys, {"created"});
    std::string age = human_duration(static_cast<std::int64_t>(count_at(keys, {"ageSeconds"})));
    std::string file = text_at(keys, {"keyFile"});
    Fields fields;
    fields.add("Public key", text_at(keys, {"publicKey"}));
    fields.add("Age", created.empty() ? age : age + " (made " + created + ")");
    fields.add("Key file", file.empty() ? "none: the configuration holds the key" : file);
    fields.add("Identity", text_at(keys, {"identity"}));
    if (auto identity = text_at(keys, {"identityFile"}); !identity.empty())
        fields.add("Identity file", identity);
    return fields.render(style);
}

}  // namespace wglan::ctl
