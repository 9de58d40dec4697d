// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/own_sealer.h"

namespace wglan {

Result<Envelope> OwnSealer::envelope(const Record& record) {
    if (record_ && *record_ == record) return envelope_;
    if (record.identity != identity_)
        return fail(ErrorKind::permission, "own record: it names another identity than this node's");
    auto sealed = seal_envelope(*keys_, seed_->bytes(), record, ttl_seconds_);
    if (!sealed) return sealed;
    record_ = record;
    envelope_ = *sealed;
    return sealed;
}

Envelope OwnSealer::tombstone(std::uint64_t sequence, UnixTime issued) const {
    return keys_->sign_envelope(seed_->bytes(), identity_, sequence, issued, kMaxTtlSeconds, {});
}

}  // namespace wglan
