// SPDX-License-Identifier: Apache-2.0
// What the sources of one agent share.
#pragma once

#include <functional>
#include <memory>

#include "agent/base/backoff.h"
#include "agent/base/clock.h"
#include "agent/discovery/clock_sync.h"
#include "agent/discovery/own_sealer.h"
#include "agent/discovery/sequence_guard.h"
#include "agent/discovery/source.h"

namespace wglan {

// Shared ownership: coroutines of a stopped source may end after it. `io` and `clock` must outlive
// them (the io_context destroys what is left of them).
struct SourceContext {
    asio::io_context* io = nullptr;
    const Clock* clock = &system_clock();
    std::shared_ptr<const ClusterKeys> keys;
    std::shared_ptr<OwnSealer> sealer;
    std::shared_ptr<SequenceGuard> guard;
    std::function<bool()> clock_synchronised = make_clock_check();
    Backoff::Random random = random_unit;
};

}  // namespace wglan
