// SPDX-License-Identifier: Apache-2.0
// Foreign text on its way into a message.
#pragma once

#include <string>
#include <string_view>

namespace wglan {

// `text` in double quotes, control characters and bytes that aren't ASCII escaped (\n, \x1b),
// cut after `limit` characters with "..." in place of the rest. For errors that quote input.
std::string quote(std::string_view text, std::size_t limit = 80);

// The same escapes without quotes or cut, but valid UTF-8 is kept. For whole log lines.
std::string escape_controls(std::string_view text);

// JSON string literal, quotes included; invalid UTF-8 becomes U+FFFD (RFC 8259 section 8.1).
std::string json_string(std::string_view text);

}  // namespace wglan
