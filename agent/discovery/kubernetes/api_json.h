// SPDX-License-Identifier: Apache-2.0
// What the readers of API objects have in common. Pure; the text is foreign.
#pragma once

#include "agent/discovery/json_read.h"

namespace wglan::api_json {

using json_read::Json;

inline constexpr std::size_t kMaxText = 1024;  // resourceVersion, continue token, uid

// With null for what is never looked at, and most of a Node: managedFields, images.
Result<Json> parse(std::string_view text, std::size_t limit);

// The object under this name; an empty one where there is none. The API writes null for empty ones.
Result<const Json*> part(const Json& object, const char* field);
Result<std::string> text_in(const Json& object, const char* field);  // "" where there is none
// metadata.resourceVersion, which must be there.
Result<std::string> version_of(const Json& object);
Result<> expect_kind(const Json& object, std::string_view wanted);

// Of a Status.
std::string message_of(const Json& status);
unsigned code_of(const Json& status);

template <class Each>
Result<> each_in(const Json& object, const char* field, std::size_t most, Each each) {
    const Json* found = json_read::find(object, field);
    if (found == nullptr || found->is_null()) return {};
    auto array = json_read::optional_array(object, field, most);
    if (!array) return Failure(array.error());
    for (const Json& item : **array)
        if (auto done = each(item); !done) return done;
    return {};
}

}  // namespace wglan::api_json
