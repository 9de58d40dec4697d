// SPDX-License-Identifier: Apache-2.0
// Where the cluster's API servers listen, by the EndpointSlice that they keep of themselves: `kubernetes`
// in the namespace `default`. Pure; the text is foreign.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/result.h"

namespace wglan {

inline constexpr std::size_t kMaxSliceBody = 4U << 20;
inline constexpr std::size_t kMaxApiServers = 64;

struct SliceList {
    std::vector<Endpoint> servers;  // of all slices of the answer, sorted
    std::string resource_version;
};

// One line of a watch.
struct SliceEvent {
    enum class Kind { put, removed, bookmark, error };
    Kind kind = Kind::bookmark;
    std::vector<Endpoint> servers;  // put
    std::string resource_version;   // of all but error
    unsigned code = 0;              // error: as an HTTP status
    std::string message;
};

// TCP ports of addresses alone; whether they are ready is no matter: who is about to start must be reached
// too. invalid: over kMaxApiServers of them.
Result<SliceList> parse_slice_list(std::string_view json);
Result<SliceEvent> parse_slice_event(std::string_view json);

}  // namespace wglan
