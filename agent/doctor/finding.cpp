// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor/finding.h"

namespace wglan {

std::string_view to_string(FindingStatus status) {
    switch (status) {
        case FindingStatus::pass:
            return "pass";
        case FindingStatus::warn:
            return "warn";
        case FindingStatus::fail:
            return "fail";
        case FindingStatus::skip:
            return "skip";
    }
    return "?";
}

nlohmann::ordered_json to_json(const Findings& findings) {
    auto list = nlohmann::ordered_json::array();
    for (const Finding& finding : findings)
        list.push_back({{"check", finding.check},
                        {"status", to_string(finding.status)},
                        {"text", finding.text},
                        {"mend", finding.mend}});
    return list;
}

}  // namespace wglan
