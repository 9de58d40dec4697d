// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/api_json.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "agent/base/text.h"

namespace wglan::api_json {
namespace {

constexpr std::size_t kMaxMessage = 300;

constexpr int kMaxDepth = 32;
constexpr auto kNowhere = std::string_view::npos;

bool is_bulk(std::string_view key) { return key == "managedFields" || key == "images"; }

std::size_t after_blanks(std::string_view text, std::size_t at) {
    return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

// Past the closing quote of the string that begins at `at`.
std::size_t after_string(std::string_view text, std::size_t at) {
    for (std::size_t end = text.find('"', at + 1); end != kNowhere; end = text.find('"', end + 1)) {
        std::size_t escapes = 0;
        while (text[end - 1 - escapes] == '\\') ++escapes;
        if (escapes % 2 == 0) return end + 1;
    }
    return kNowhere;
}

// Past the value that begins at `at`; what is in it isn't checked.
std::size_t after_value(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            at = after_string(text, at);
            if (at == kNowhere) return kNowhere;
        } else {
            if (c == '{' || c == '[') ++depth;
            if ((c == '}' || c == ']') && depth-- == 0) return kNowhere;
            ++at;
        }
        if (depth == 0 && (c == '"' || c == '}' || c == ']')) return at;
        constexpr std::string_view kEnds = ",}] \t\r\n";
        if (depth == 0 && at < text.size() && kEnds.find(text[at]) != kNowhere) return at;
    }
    return kNowhere;
}

// With null for what is never looked at, and most of a Node: parsing it takes longer than all else that is
// done to a Node. nullopt: nested too deep. What isn't JSON comes out as it is.
std::optional<std::string> without_bulk(std::string_view text) {
    std::string out;
    std::size_t kept = 0;
    int depth = 0;
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (c != '"') {
            if ((c == '{' || c == '[') && ++depth > kMaxDepth) return std::nullopt;
            if (c == '}' || c == ']') --depth;
            ++at;
            continue;
        }
        const std::size_t end = after_string(text, at);
        if (end == kNowhere) break;
        const bool bulk = is_bulk(text.substr(at + 1, end - at - 2));
        at = end;
        if (!bulk) continue;
        const std::size_t colon = after_blanks(text, end);
        if (colon == text.size() || text[colon] != ':') continue;
        const std::size_t value = after_blanks(text, colon + 1), past = after_value(text, value);
        if (past == kNowhere) break;
        out.append(text.substr(kept, value - kept)).append("null");
        at = kept = past;
    }
    return out.append(text.substr(kept));
}

const Json& empty() {
    static const Json kEmpty = Json::object();
    return kEmpty;
}

}  // namespace

Result<Json> parse(std::string_view text, std::size_t limit) {
    if (text.size() > limit)
        return fail(ErrorKind::invalid,
                    fmt::format("JSON of {} bytes, at most {} are accepted", text.size(), limit));
    const auto lean = without_bulk(text);
    if (!lean) return fail(ErrorKind::invalid, "JSON nested too deep");
    Json value = Json::parse(*lean, nullptr, false);
    if (value.is_discarded()) return fail(ErrorKind::invalid, "not JSON");
    if (!value.is_object()) return fail(ErrorKind::invalid, "not a JSON object");
    return value;
}

Result<const Json*> part(const Json& object, const char* field) {
    const Json* value = json_read::find(object, field);
    if (value == nullptr || value->is_null()) return &empty();
    if (!value->is_object()) return fail(ErrorKind::invalid, fmt::format("\"{}\": must be an object", field));
    return value;
}

Result<std::string> text_in(const Json& object, const char* field) {
    auto text = json_read::optional_string(object, field, kMaxText);
    if (!text) return Failure(text.error());
    return text->value_or("");
}

Result<std::string> version_of(const Json& object) {
    auto metadata = part(object, "metadata");
    if (!metadata) return Failure(metadata.error());
    auto version = text_in(**metadata, "resourceVersion");
    if (version && version->empty())
        return fail(ErrorKind::protocol, "the API sent something without a resourceVersion");
    return version;
}

Result<> expect_kind(const Json& object, std::string_view wanted) {
    const auto kind = text_in(object, "kind");
    if (!kind) return Failure(kind.error());
    if (*kind == wanted) return {};
    return fail(ErrorKind::protocol, fmt::format("the API sent {} where a {} was due", quote(*kind), wanted));
}

std::string message_of(const Json& status) {
    const auto message = json_read::find(status, "message");
    if (message == nullptr || !message->is_string()) return {};
    return quote(message->get_ref<const std::string&>(), kMaxMessage);
}

unsigned code_of(const Json& status) {
    const auto code = json_read::unsigned_field(status, "code", 0, 999);
    return code ? static_cast<unsigned>(*code) : 0;
}

}  // namespace wglan::api_json
