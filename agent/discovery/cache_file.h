// SPDX-License-Identifier: Apache-2.0
// The cache file's content as a value, and its JSON. Pure.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "agent/discovery/record_codec.h"
#include "agent/discovery/sequence_guard.h"

namespace wglan {

inline constexpr std::size_t kMaxCacheFile = 64U << 20;
// Cached records are last resort, not news: they are good for longer than what a service says.
inline constexpr UnixTime kMaxCacheAgeSeconds = 7 * 24 * 3600;

struct CacheState {
    // Newest sequence, withdrawal and envelope of each identity (SequenceGuard::all()).
    std::unordered_map<IdentityKey, SequenceGuard::Seen> seen;
    // Endpoints that worked last, best first, at most kMaxCachedEndpoints a peer.
    std::map<PublicKey, std::vector<Endpoint>> endpoints;
    std::string extra;  // a JSON object of the caller's, as text; "" = none
    // Makes `extra` where the cache is written, which may be another thread: it takes its time.
    std::function<std::string()> make_extra = nullptr;
};
inline constexpr std::size_t kMaxCachedEndpoints = 8, kMaxCachedPeers = 32768;

struct CacheContent {
    CacheState state;
    std::vector<SourcedRecord> records;  // opened from state.seen; kind cache, source "cache"
    std::vector<std::string> nodes;      // texts of SequenceGuard::Seen::node, not looked at yet
    std::vector<std::string> warnings;   // entries left out, and why
};

// Canonical text: the same state gives the same bytes. invalid if `extra` is no JSON object.
Result<std::string> encode_cache(const ClusterKeys& keys, const CacheState& state);

// Verifies signatures and seals again. invalid: not a cache file, or broken; permission: a cache of
// another cluster or token. Single entries that don't hold are left out with a warning.
Result<CacheContent> decode_cache(const ClusterKeys& keys, std::string_view text, UnixTime now,
                                  bool clock_synchronised);

}  // namespace wglan
