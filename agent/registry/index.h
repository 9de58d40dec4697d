// SPDX-License-Identifier: Apache-2.0
// Who claimed which prefixes and announced which endpoints at the last merge, refused ones included:
// tells whether what one peer says can matter to another.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/keys.h"

namespace wglan {

struct Statement {
    std::vector<Prefix> claims;
    std::vector<IpAddress> endpoints;  // of candidates that are addresses
    bool names = false;                // a candidate is a host name
};

class ClaimIndex {
public:
    void clear();
    // What was said under this key before is replaced.
    void set(const PublicKey& key, Statement said);
    bool has(const PublicKey& key) const { return said_.contains(key); }
    const Statement& said(const PublicKey& key) const { return said_.at(key); }

    // True if no other key claims an equal, wider or narrower prefix than one of these claims, none has an
    // endpoint inside one, and none of these endpoints is another's or in another's claim.
    bool concerns_only(const PublicKey& key, const Statement& said) const;

private:
    bool other_covers(const PublicKey& key, const Prefix& prefix) const;

    std::map<PublicKey, Statement> said_;
    std::set<std::pair<Prefix, PublicKey>> claims_;
    std::set<std::pair<IpAddress, PublicKey>> endpoints_;
    std::set<std::pair<Family, std::uint8_t>> lengths_;  // of claims_; grows only
};

}  // namespace wglan
