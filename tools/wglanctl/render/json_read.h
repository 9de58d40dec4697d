// SPDX-License-Identifier: Apache-2.0
// Reading an agent's answer that may be of another version: what is missing or of another type
// counts as absent.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace wglan::ctl {

using Json = nlohmann::ordered_json;

// Discarded (is_discarded()) if it isn't JSON or is nested deeper than any answer is: printing
// recurses.
Json parse_answer(std::string_view text);

using JsonPath = std::initializer_list<const char*>;

const Json& at(const Json& json, JsonPath path);          // null where it isn't
std::string text_at(const Json& json, JsonPath path);     // "" where it isn't
std::uint64_t count_at(const Json& json, JsonPath path);  // 0 where it isn't or is negative
std::optional<double> number_at(const Json& json, JsonPath path);
const Json& list_at(const Json& json, JsonPath path);                   // [] where it isn't
std::string join(const Json& list, std::string_view separator = ", ");  // its strings

}  // namespace wglan::ctl
