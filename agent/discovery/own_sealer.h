// SPDX-License-Identifier: Apache-2.0
// Signs and seals what this node says of itself.
#pragma once

#include <memory>
#include <optional>

#include "agent/discovery/record_codec.h"

namespace wglan {

// One for all sources that publish. The nonce of a seal is random, yet the same sequence must always
// come with the same bytes: the last envelope is kept and handed out again for the same record.
class OwnSealer {
public:
    OwnSealer(std::shared_ptr<const ClusterKeys> keys, std::shared_ptr<const Secret> identity_seed,
              IdentityKey identity, std::uint32_t ttl_seconds = 120)
        : keys_(std::move(keys)),
          seed_(std::move(identity_seed)),
          identity_(identity),
          ttl_seconds_(ttl_seconds) {}

    // Errors as seal_envelope; permission when the record is another identity's.
    Result<Envelope> envelope(const Record& record);
    // TTL of kMaxTtlSeconds: how long the service remembers the withdrawal.
    Envelope tombstone(std::uint64_t sequence, UnixTime issued) const;
    const IdentityKey& identity() const { return identity_; }
    std::uint32_t ttl_seconds() const { return ttl_seconds_; }

private:
    std::shared_ptr<const ClusterKeys> keys_;
    std::shared_ptr<const Secret> seed_;
    IdentityKey identity_;
    std::uint32_t ttl_seconds_;
    std::optional<Record> record_;
    Envelope envelope_;
};

}  // namespace wglan
