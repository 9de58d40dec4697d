// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/json_read.h"

#include <algorithm>

namespace wglan::ctl {

Json parse_answer(std::string_view text) {
    constexpr int kDeepest = 32;
    bool too_deep = false;
    auto shallow = [&](int depth, Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > kDeepest;
        return !too_deep;
    };
    Json json = Json::parse(text, shallow, false);
    return too_deep ? Json(Json::value_t::discarded) : json;
}

const Json& at(const Json& json, JsonPath path) {
    static const Json kNull;
    const Json* here = &json;
    for (const char* key : path) {
        if (!here->is_object()) return kNull;
        auto found = here->find(key);
        if (found == here->end()) return kNull;
        here = &*found;
    }
    return *here;
}

std::string text_at(const Json& json, JsonPath path) {
    const Json& value = at(json, path);
    return value.is_string() ? value.get<std::string>() : std::string();
}

std::uint64_t count_at(const Json& json, JsonPath path) {
    const Json& value = at(json, path);
    if (value.is_number_unsigned()) return value.get<std::uint64_t>();
    return value.is_number_integer()
               ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, value.get<std::int64_t>()))
               : 0;
}

std::optional<double> number_at(const Json& json, JsonPath path) {
    const Json& value = at(json, path);
    if (!value.is_number()) return std::nullopt;
    return value.get<double>();
}

const Json& list_at(const Json& json, JsonPath path) {
    static const Json kEmpty = Json::array();
    const Json& value = at(json, path);
    return value.is_array() ? value : kEmpty;
}

std::string join(const Json& list, std::string_view separator) {
    std::string out;
    for (const auto& item : list) {
        if (!item.is_string()) continue;
        if (!out.empty()) out += separator;
        out += item.get<std::string>();
    }
    return out;
}

}  // namespace wglan::ctl
