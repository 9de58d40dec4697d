// SPDX-License-Identifier: Apache-2.0
// -o json and -o yaml.
#pragma once

#include <string>

#include "tools/wglanctl/render/json_read.h"

namespace wglan::ctl {

// Indented by two, ends in a new line. ascii: everything else is escaped (for a terminal, where
// foreign names may hold what steers it).
std::string to_json_text(const Json& json, bool ascii);
std::string to_json_line(const Json& json, bool ascii);  // not indented
// One document that reads back as the same values: text that would read as something else is quoted.
std::string to_yaml_text(const Json& json, bool ascii);

}  // namespace wglan::ctl
