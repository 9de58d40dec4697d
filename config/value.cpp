// SPDX-License-Identifier: Apache-2.0
#include "config/value.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "agent/base/keys.h"
#include "agent/base/text.h"

namespace wglan::config {
namespace {

bool is_true(std::string_view text) { return text == "true" || text == "True" || text == "TRUE"; }
bool is_false(std::string_view text) { return text == "false" || text == "False" || text == "FALSE"; }

struct Number {
    std::optional<std::int64_t> whole;  // where it is one that fits
    double real = 0;

    bool operator==(const Number& other) const {
        if (whole && other.whole) return *whole == *other.whole;
        return real == other.real;
    }
};

std::optional<Number> to_number(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    const char* const end = text.data() + text.size();
    std::int64_t whole = 0;
    const bool hex = text.starts_with("0x");
    const auto integer = std::from_chars(text.data() + (hex ? 2 : 0), end, whole, hex ? 16 : 10);
    if (integer.ec == std::errc() && integer.ptr == end) return Number{whole, static_cast<double>(whole)};
    double real = 0;
    const auto floating = std::from_chars(text.data(), end, real);
    if (floating.ec == std::errc() && floating.ptr == end) return Number{std::nullopt, real};
    return std::nullopt;
}

bool equal_scalars(const Value& a, const Value& b) {
    if (a.quoted || b.quoted) {
        // Plain text such as `eth0` is a string, as "eth0" is; plain 5 is not "5".
        const auto is_text = [](const Value& v) {
            return v.quoted || (!is_true(v.text) && !is_false(v.text) && !to_number(v.text));
        };
        return is_text(a) && is_text(b) && a.text == b.text;
    }
    if (is_true(a.text) || is_false(a.text)) return is_true(a.text) ? is_true(b.text) : is_false(b.text);
    const auto left = to_number(a.text);
    const auto right = to_number(b.text);
    if (left && right) return *left == *right;
    return a.text == b.text;
}

bool equal_maps(const Value& a, const Value& b) {
    if (a.members.size() != b.members.size()) return false;
    return std::ranges::all_of(a.members, [&](const Value::Member& member) {
        const Value* other = b.find(member.key);
        return other != nullptr && equal(member.value, *other);
    });
}

Result<> check_below(const Value& value, const std::string& path) {
    std::map<std::string_view, const Value::Member*> seen;
    for (const auto& member : value.members) {
        const std::string key = join_path(path, member.key);
        const auto [first, fresh] = seen.emplace(member.key, &member);
        if (!fresh)
            return fail(ErrorKind::invalid, member.where.to_string() + ": " + escape_controls(key) +
                                                ": given twice; the first stands at " +
                                                first->second->where.to_string());
        if (auto done = check_below(member.value, key); !done) return done;
    }
    for (std::size_t i = 0; i < value.items.size(); ++i)
        if (auto done = check_below(value.items[i], join_path(path, i)); !done) return done;
    return {};
}

}  // namespace

Value::Value() = default;
Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() { wipe(text); }

std::string Where::to_string() const {
    std::string out = file ? *file : std::string("configuration");
    if (line > 0) out += ':' + std::to_string(line);
    if (operation > 0) out += ": operation " + std::to_string(operation);
    return out;
}

const Value* Value::find(std::string_view key) const {
    const auto found = std::ranges::find(members, key, &Member::key);
    return found == members.end() ? nullptr : &found->value;
}

Value* Value::find(std::string_view key) {
    const auto found = std::ranges::find(members, key, &Member::key);
    return found == members.end() ? nullptr : &found->value;
}

std::size_t Value::size() const {
    std::size_t total = 1;
    for (const auto& item : items) total += item.size();
    for (const auto& member : members) total += member.value.size();
    return total;
}

std::size_t Value::depth() const {
    std::size_t below = 0;
    for (const auto& item : items) below = std::max(below, item.depth());
    for (const auto& member : members) below = std::max(below, member.value.depth());
    return below + 1;
}

std::string_view kind_name(Value::Kind kind) {
    switch (kind) {
        case Value::Kind::null:
            return "nothing";
        case Value::Kind::scalar:
            return "a value";
        case Value::Kind::sequence:
            return "a list";
        case Value::Kind::map:
            return "a map";
    }
    return "nothing";
}

bool equal(const Value& a, const Value& b) {
    if (a.kind != b.kind) return false;
    switch (a.kind) {
        case Value::Kind::null:
            return true;
        case Value::Kind::scalar:
            return equal_scalars(a, b);
        case Value::Kind::sequence:
            return std::ranges::equal(a.items, b.items, equal);
        case Value::Kind::map:
            return equal_maps(a, b);
    }
    return false;
}

Result<> check_duplicates(const Value& value) { return check_below(value, ""); }

std::string join_path(std::string_view parent, std::string_view key) {
    return parent.empty() ? std::string(key) : std::string(parent) + '.' + std::string(key);
}

std::string join_path(std::string_view parent, std::size_t index) {
    return std::string(parent) + '[' + std::to_string(index) + ']';
}

}  // namespace wglan::config
