// SPDX-License-Identifier: Apache-2.0
// What the two spellings are read into; finish.cpp completes and checks it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/section.h"

namespace wglan::config {

struct Draft {
    Config config = default_config();
    Secret token;  // as given in the document; empty = not there
    std::string token_file;
    std::optional<std::string> discovery_id;  // as given, before it is hashed
    Where token_where, token_file_where, mark_where, private_key_where;
    std::vector<Section> static_sections;  // beside config.discovery.static_peers, for messages
    std::vector<std::string> warnings;
};

// `document` (null: nothing given) in the native spelling.
void read_native(const Value* document, Draft& draft, Reading& reading);
// A Talos machine configuration: the WireGuard section of one of its network interfaces.
void read_talos(const Value& document, Draft& draft, Reading& reading);

// Works out token, discovery ID and node name from document and environment, and checks what holds
// across keys.
void finish_draft(Draft& draft, const ConfigInput& input, Reading& reading, std::vector<std::string>& files);

// Why a token of enough bytes is weak all the same; "" if nothing speaks against it.
std::string token_weakness(std::string_view token);

}  // namespace wglan::config
