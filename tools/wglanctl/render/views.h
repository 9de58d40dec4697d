// SPDX-License-Identifier: Apache-2.0
// The agent's answers as text for people. Pure; every string of the answer is made printable.
#pragma once

#include <string>

#include "tools/wglanctl/render/json_read.h"
#include "tools/wglanctl/render/table.h"

namespace wglan::ctl {

std::string render_status(const Json& status, const Style& style);
std::string render_peers(const Json& peers, const Style& style);  // {"peers": [...]}
std::string render_peer(const Json& peer, const Style& style);    // one of them, all there is
std::string render_routes(const Json& routes, const Style& style);
std::string render_explanation(const Json& explanation, const Style& style);
std::string render_doctor(const Json& answer, const Style& style);
std::string render_record(const Json& record, const Style& style);
std::string render_keys(const Json& keys, const Style& style);
// One line of `monitor`; the first event of a stream gives the header.
std::string render_event(const Json& event, const Style& style);

// Shared by the views.
Colour colour_of_state(std::string_view state);       // of peers and sources
std::string age_at(const Json& json, JsonPath path);  // "12s ago"; "never" where it is null

}  // namespace wglan::ctl
