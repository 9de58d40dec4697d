// SPDX-License-Identifier: Apache-2.0
// Strict reading of untrusted JSON: every accessor names the field and what it accepts. Nothing throws.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "agent/base/result.h"

namespace wglan::json_read {

using Json = nlohmann::json;

// Refuses text over `limit` or nested over 32 levels before parsing it, and anything but an object.
Result<Json> parse_object(std::string_view text, std::size_t limit);

// Nested over 32 levels: nlohmann writes nested values by recursion, and what is read may be written again.
bool too_deep(std::string_view text);

// The field, or null when absent. `object` must be an object.
const Json* find(const Json& object, const char* field);

Result<std::uint64_t> unsigned_field(const Json& object, const char* field, std::uint64_t least,
                                     std::uint64_t most);
Result<std::string> string_field(const Json& object, const char* field, std::size_t max_length);
// Absent is fine; a wrong type is not.
Result<std::optional<std::string>> optional_string(const Json& object, const char* field,
                                                   std::size_t max_length);
Result<bool> optional_bool(const Json& object, const char* field);  // absent = false
// The array, null when absent; error if it is something else or longer than `most`.
Result<const Json*> optional_array(const Json& object, const char* field, std::size_t most);
Result<const Json*> optional_object(const Json& object, const char* field, std::size_t most);
// Base64 of `least` to `most` bytes.
Result<std::string> base64_field(const Json& object, const char* field, std::size_t least, std::size_t most);

}  // namespace wglan::json_read
