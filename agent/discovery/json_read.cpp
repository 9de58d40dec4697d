// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/json_read.h"

#include <fmt/format.h>

#include "agent/base/keys.h"

namespace wglan::json_read {
namespace {

Failure wrong(const char* field, std::string_view what) {
    return fail(ErrorKind::invalid, fmt::format("\"{}\": {}", field, what));
}

constexpr int kMaxDepth = 32;

Result<const Json*> optional_container(const Json& object, const char* field, std::size_t most,
                                       Json::value_t type, std::string_view what) {
    const Json* value = find(object, field);
    if (value == nullptr) return nullptr;
    if (value->type() != type) return wrong(field, fmt::format("must be {}", what));
    if (value->size() > most)
        return wrong(field, fmt::format("has {} entries, at most {} are accepted", value->size(), most));
    return value;
}

}  // namespace

bool too_deep(std::string_view text) {
    int depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c == '\\') ++i;
            if (c == '"') quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > kMaxDepth) return true;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return false;
}

Result<Json> parse_object(std::string_view text, std::size_t limit) {
    if (text.size() > limit)
        return fail(ErrorKind::invalid,
                    fmt::format("JSON of {} bytes, at most {} are accepted", text.size(), limit));
    if (too_deep(text))
        return fail(ErrorKind::invalid, fmt::format("JSON nested over {} levels deep", kMaxDepth));
    Json value = Json::parse(text, nullptr, false);
    if (value.is_discarded()) return fail(ErrorKind::invalid, "not JSON");
    if (!value.is_object()) return fail(ErrorKind::invalid, "not a JSON object");
    return value;
}

const Json* find(const Json& object, const char* field) {
    const auto it = object.find(field);
    return it == object.end() ? nullptr : &*it;
}

Result<std::uint64_t> unsigned_field(const Json& object, const char* field, std::uint64_t least,
                                     std::uint64_t most) {
    const Json* value = find(object, field);
    if (value == nullptr) return wrong(field, "missing");
    if (!value->is_number_unsigned()) return wrong(field, "must be a whole number, not negative");
    const auto number = value->get<std::uint64_t>();
    if (number < least || number > most)
        return wrong(field, fmt::format("{} is out of range, {} to {} is accepted", number, least, most));
    return number;
}

Result<std::string> string_field(const Json& object, const char* field, std::size_t max_length) {
    auto value = optional_string(object, field, max_length);
    if (!value) return Failure(value.error());
    if (!*value) return wrong(field, "missing");
    return std::move(**value);
}

Result<std::optional<std::string>> optional_string(const Json& object, const char* field,
                                                   std::size_t max_length) {
    const Json* value = find(object, field);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) return wrong(field, "must be a string");
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() > max_length)
        return wrong(field,
                     fmt::format("has {} characters, at most {} are accepted", text.size(), max_length));
    return text;
}

Result<bool> optional_bool(const Json& object, const char* field) {
    const Json* value = find(object, field);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return wrong(field, "must be true or false");
    return value->get<bool>();
}

Result<const Json*> optional_array(const Json& object, const char* field, std::size_t most) {
    return optional_container(object, field, most, Json::value_t::array, "an array");
}

Result<const Json*> optional_object(const Json& object, const char* field, std::size_t most) {
    return optional_container(object, field, most, Json::value_t::object, "an object");
}

Result<std::string> base64_field(const Json& object, const char* field, std::size_t least, std::size_t most) {
    const std::size_t max_text = (most + 2) / 3 * 4;
    const Json* value = find(object, field);
    if (value == nullptr) return wrong(field, "missing");
    if (!value->is_string()) return wrong(field, "must be a string");
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() > max_text) return wrong(field, fmt::format("more than {} bytes", most));
    auto bytes = base64_decode(text);
    if (!bytes) return wrong(field, "not base64 (RFC 4648 section 4, padded)");
    if (bytes->size() < least || bytes->size() > most)
        return wrong(field, least == most
                                ? fmt::format("{} bytes, must be {}", bytes->size(), least)
                                : fmt::format("{} bytes, {} to {} are accepted", bytes->size(), least, most));
    return bytes;
}

}  // namespace wglan::json_read
