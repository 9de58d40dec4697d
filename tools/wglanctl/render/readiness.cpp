// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/readiness.h"

#include <set>

#include <fmt/format.h>

namespace wglan::ctl {
namespace {

std::string missing_sources(const Json& sources) {
    std::string missing;
    bool remote = false;
    bool remote_synced = false;
    bool connecting = false;
    for (const auto& source : sources) {
        std::string name = text_at(source, {"name"});
        std::string state = text_at(source, {"state"});
        bool local = name == "static" || name == "cache";
        remote = remote || !local;
        remote_synced = remote_synced || (!local && state == "synced");
        connecting = connecting || state == "connecting";
        if (state == "synced") continue;
        missing += fmt::format("{}source {} is {}", missing.empty() ? "" : ", ", name, state);
        if (auto error = text_at(source, {"lastError"}); !error.empty()) missing += " (" + error + ")";
    }
    bool ready = !connecting && (!remote || remote_synced);
    return ready ? "" : missing;
}

// A node that was replaced under its name stays listed as "NAME~KEY" until it is forgotten: nobody waits for
// it.
bool superseded(const std::string& name, const std::set<std::string>& up) {
    const auto mark = name.rfind('~');
    return mark != std::string::npos && up.contains(name.substr(0, mark));
}

std::string missing_peers(const Json& peers, std::optional<std::size_t> wanted) {
    std::set<std::string> names_up;
    for (const auto& peer : peers)
        if (text_at(peer, {"state"}) == "up") names_up.insert(text_at(peer, {"name"}));
    std::size_t up = 0;
    std::size_t counted = 0;
    std::string others;
    for (const auto& peer : peers) {
        std::string state = text_at(peer, {"state"});
        if (state != "up" && superseded(text_at(peer, {"name"}), names_up)) continue;
        ++counted;
        if (state == "up") {
            ++up;
            continue;
        }
        others += fmt::format("{}{} is {}", others.empty() ? "" : ", ", text_at(peer, {"name"}), state);
    }
    std::size_t needed = wanted.value_or(std::max<std::size_t>(counted, 1));
    if (up >= needed) return {};
    std::string out = fmt::format("{} of {} peers up", up, needed);
    if (!others.empty()) out += " (" + others + ")";
    return out;
}

}  // namespace

std::string missing_for_ready(const Json& status, std::optional<std::size_t> peers) {
    std::string sources = missing_sources(list_at(status, {"sources"}));
    std::string others = missing_peers(list_at(status, {"peers"}), peers);
    return sources + (sources.empty() || others.empty() ? "" : "; ") + others;
}

}  // namespace wglan::ctl
