// SPDX-License-Identifier: Apache-2.0
// Which entries of the programs' tables are looked at next, so that what somebody took out by hand is noticed
// long before the next whole dump. Pure.
#pragma once

#include <cstddef>

#include "agent/dataplane/dataplane.h"
#include "agent/reconcile/state.h"

namespace wglan {

class MapWalk {
public:
    // `most` of each table, those behind the last ones; from the start again after the end. Small tables come
    // whole each time, and so do the settings.
    SteerSample next(const Observed& observed, std::size_t most);

private:
    Prefix route_;
    PeerId peer_ = 0;
    SteerEndpoint endpoint_;
};

}  // namespace wglan
