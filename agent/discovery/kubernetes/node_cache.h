// SPDX-License-Identifier: Apache-2.0
// Nodes as the cache of records keeps them, for an agent that starts while no API server answers. Pure.
//
// {"node": {...}, "mac": "..."}: what a record is read from. The node's own signature and MAC are among its
// annotations and are checked again; but pod CIDRs, addresses and labels are the API's word, which the
// outer MAC (keyed as that of annotations) keeps as it was.
#pragma once

#include <string>
#include <string_view>

#include "agent/discovery/cache_file.h"
#include "agent/discovery/kubernetes/node_annotations.h"

namespace wglan {

std::string cached_node(const ClusterKeys& keys, const KubeNode& node);

// invalid: no such text; permission: a MAC or signature is wrong.
Result<KubeNode> read_cached_node(const ClusterKeys& keys, std::string_view text);

// Adds the records of content.nodes, by the rules for the cache's other records: only an identity's newest
// statement, not older than kMaxCacheAgeSeconds where the clock can be trusted. Others are left out with a
// warning.
void restore_cached_nodes(const ClusterKeys& keys, CacheContent& content, UnixTime now,
                          bool clock_synchronised);

}  // namespace wglan
