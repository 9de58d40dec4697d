// SPDX-License-Identifier: Apache-2.0
// What `wglanctl doctor` says: one line a finding.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace wglan {

enum class FindingStatus {
    pass,
    warn,  // works, but not as well as it could, or not for all
    fail,  // something doesn't work
    skip,  // couldn't be looked at; the text says why
};
std::string_view to_string(FindingStatus status);

struct Finding {
    std::string check;  // what was looked at: "mtu", "rp_filter" ...; several findings may share one
    FindingStatus status = FindingStatus::pass;
    std::string text;
    std::string mend;  // what to do; "" = nothing
    bool operator==(const Finding&) const = default;
};
using Findings = std::vector<Finding>;

nlohmann::ordered_json to_json(const Findings& findings);

}  // namespace wglan
