// SPDX-License-Identifier: Apache-2.0
// A node's record as annotations of its Kubernetes Node. Pure.
//
// What can be read there is what is signed: the identity's Ed25519 signature and a MAC keyed from the
// cluster's token cover all annotations, the cluster, the Node's name and its UID. So whoever may patch
// Nodes but lacks the token adds no peer, changes none, and moves none to another Node.
//
//   public-key, address, identity   as in records (docs/discovery-protocol.md)
//   endpoints    host:port,...      best first
//   prefixes     the node's addresses as host prefixes, its pod prefixes and further ones, sorted
//   observed     KEY=ip:port,...    where this node sees peers that are up
//   sequence     decimal
//   signature    v1.ISSUED.SIGNATURE.MAC, base64url without padding
//
// A node that leaves says so in the same way before its annotations go: identity and sequence alone, under a
// signature that begins with "v1-withdrawn". The mere absence of annotations is no such word.
#pragma once

#include "agent/discovery/cluster_keys.h"
#include "agent/discovery/kubernetes/node.h"
#include "agent/model/record.h"

namespace wglan {

// All annotations of this record. The record must be normal (normalise_record), with sequence and issued.
Annotations annotate(const ClusterKeys& keys, std::span<const std::uint8_t> identity_seed,
                     const Record& record, const std::string& node_name, const std::string& node_uid);

// Those above, `signature` last.
std::span<const char* const> annotation_names();

// The text of `signature` for these.
std::string sign_annotations(const ClusterKeys& keys, std::span<const std::uint8_t> identity_seed,
                             const Annotations& annotations, const std::string& node_name,
                             const std::string& node_uid, UnixTime issued);

// What a node that leaves says with this sequence; all other annotations of ours must go.
Annotations withdrawal(const ClusterKeys& keys, std::span<const std::uint8_t> identity_seed,
                       const Tombstone& tombstone, const std::string& node_name, const std::string& node_uid);
bool is_withdrawal(const Annotations& annotations);
// permission: MAC, signature or place is wrong. Freshness and sequence are the caller's to judge.
Result<Tombstone> read_withdrawal(const ClusterKeys& keys, const KubeNode& node);

// The record that a Node carries. A pod prefix counts only if the Node's spec has it too, a node address
// only if its status has it; all other signed prefixes are further ones, which the registry judges: inside
// another Node's pod prefix they count for nothing. Labels are the Node's.
// not_found: the Node has no annotations of ours. permission: MAC, signature or place is wrong. Freshness
// and sequence are the caller's to judge.
Result<Record> read_annotations(const ClusterKeys& keys, const KubeNode& node);

}  // namespace wglan
