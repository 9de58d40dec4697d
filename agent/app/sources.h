// SPDX-License-Identifier: Apache-2.0
// All discovery sources of one configuration, and the cache.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/app/ownership_json.h"
#include "agent/app/state_dir.h"
#include "agent/discovery/source.h"
#include "agent/registry/registry.h"
#include "config/config.h"

namespace wglan {

class SourceSet {
public:
    virtual ~SourceSet() = default;
    // Cached and static records come first, by callbacks before this returns; services follow.
    virtual void start(Source::Callback on_update) = 0;
    virtual void stop() = 0;
    virtual std::vector<SourceStatus> statuses() const = 0;
    // Every source has told all it knows at least once.
    virtual bool complete() const = 0;
    // Those that hold our record now.
    virtual std::vector<std::string> publishers() const = 0;
    virtual void publish(const Record& record) = 0;
    // Fails where something stays that nothing but a withdrawal takes away; that is tried for `limit`.
    virtual Task<Result<>> withdraw(std::uint64_t sequence, Milliseconds limit) = 0;
    virtual void tell_condition(const NodeCondition& condition) = 0;
    virtual void tell_event(const NodeEvent& event) = 0;
    virtual void network_changed() = 0;

    // What the cache kept of the incumbents, and where each peer was last reached.
    virtual Ownership cached_ownership() const = 0;
    virtual const std::map<PublicKey, Endpoint>& good_endpoints() const = 0;
    // What the cluster said of itself and of this node; nothing where no cluster is a source.
    virtual ClusterMemory cached_cluster() const = 0;
    // To be written a little later, if anything differs. `alive`: other identities are forgotten after a
    // while (their sequences are not); nullptr while not all is known.
    virtual void remember(const Ownership& ownership, std::map<PublicKey, Endpoint> endpoints,
                          ClusterMemory cluster, const std::set<IdentityKey>* alive) = 0;
    // Writes the cache now.
    virtual void flush() = 0;
};

Result<std::unique_ptr<SourceSet>> make_sources(asio::io_context& io, const Config& config,
                                                const Identity& identity);

}  // namespace wglan
