// SPDX-License-Identifier: Apache-2.0
// Views as the JSON that INTERFACES.md fixes ("wglanctl"): absent text is "", absent numbers are
// null, times are RFC 3339 ("" = never), ages are whole seconds.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "agent/control/views.h"

namespace wglan {

using Json = nlohmann::ordered_json;

// now: for the age of handshakes.
Json to_json(const StatusView& view, UnixTime now);
Json to_json(const PeerView& view, UnixTime now);
Json to_json(const RoutesView& view);
Json to_json(const ExplainRequest& request, const Explanation& explanation);
Json to_json(const RecordView& view);
Json to_json(const KeysView& view);

// One line; bytes that aren't UTF-8 are replaced, so that it can't fail.
std::string dump(const Json& json);

}  // namespace wglan
