// SPDX-License-Identifier: Apache-2.0
// Keeps the guard of the WireGuard port where the settings want it. The mesh works without it, so what goes
// wrong here is told and tried again, and stops nothing else.
#pragma once

#include <string>
#include <vector>

#include "agent/app/facts.h"
#include "agent/dataplane/dataplane.h"
#include "agent/reconcile/guard.h"
#include "config/config.h"

namespace wglan {

GuardDesired guard_wanted(const Config& config, const HostFacts& facts);

class GuardKeeper {
public:
    struct Outcome {
        std::size_t changes = 0;
        std::string error;  // "" = all is as it should be
    };
    // Looks at what is there and mends it.
    Outcome keep(Dataplane& dataplane, const GuardDesired& wanted);
    bool looked() const { return looked_; }
    // The last look found or left all as it was wanted then.
    bool settled() const { return looked_ && error_.empty(); }

    const std::vector<GuardPlace>& places() const { return places_; }  // as last seen
    const std::string& error() const { return error_; }

private:
    Result<> run(Dataplane& dataplane, const GuardStep& step);
    void note(const GuardPlace& place);

    bool looked_ = false;
    std::vector<GuardPlace> places_;
    std::string error_;
};

}  // namespace wglan
