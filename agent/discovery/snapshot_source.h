// SPDX-License-Identifier: Apache-2.0
// Sources that know everything at once: the configuration's static peers, and the cache.
#pragma once

#include "agent/discovery/source.h"

namespace wglan {

// Each tells one snapshot after start(). `kind` and `source` of the records are set here.
std::unique_ptr<Source> make_static_source(asio::io_context& io, std::vector<SourcedRecord> peers);
std::unique_ptr<Source> make_cache_source(asio::io_context& io, std::vector<SourcedRecord> records,
                                          std::vector<Tombstone> tombstones);

}  // namespace wglan
