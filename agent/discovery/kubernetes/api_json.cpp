// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/api_json.h"

#include <fmt/format.h>

#include "agent/base/text.h"

namespace wglan::api_json {
namespace {

constexpr std::size_t kMaxMessage = 300;

bool is_bulk(std::string_view key) { return key == "managedFields" || key == "images"; }

const Json& empty() {
    static const Json kEmpty = Json::object();
    return kEmpty;
}

}  // namespace

Result<Json> parse(std::string_view text, std::size_t limit) {
    if (text.size() > limit)
        return fail(ErrorKind::invalid,
                    fmt::format("JSON of {} bytes, at most {} are accepted", text.size(), limit));
    if (json_read::too_deep(text)) return fail(ErrorKind::invalid, "JSON nested too deep");
    const auto keep = [](int, Json::parse_event_t event, const Json& value) {
        return event != Json::parse_event_t::key || !is_bulk(value.get_ref<const std::string&>());
    };
    Json value = Json::parse(text, keep, false);
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
