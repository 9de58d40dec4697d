// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/index.h"

#include <algorithm>

namespace wglan {

void ClaimIndex::clear() { *this = ClaimIndex{}; }

void ClaimIndex::set(const PublicKey& key, Statement said) {
    if (const auto before = said_.find(key); before != said_.end()) {
        for (const Prefix& prefix : before->second.claims) claims_.erase({prefix, key});
        for (const IpAddress& address : before->second.endpoints) endpoints_.erase({address, key});
    }
    for (const Prefix& prefix : said.claims) {
        claims_.emplace(prefix, key);
        lengths_.emplace(prefix.family(), prefix.length());
    }
    for (const IpAddress& address : said.endpoints) endpoints_.emplace(address, key);
    said_.insert_or_assign(key, std::move(said));
}

bool ClaimIndex::other_covers(const PublicKey& key, const Prefix& prefix) const {
    for (const auto& [family, length] : lengths_) {
        if (family != prefix.family() || length > prefix.length()) continue;
        const Prefix wider = Prefix::make(prefix.address(), length).value();
        for (auto it = claims_.lower_bound({wider, PublicKey{}}); it != claims_.end() && it->first == wider;
             ++it)
            if (it->second != key) return true;
    }
    return false;
}

bool ClaimIndex::concerns_only(const PublicKey& key, const Statement& said) const {
    for (const Prefix& prefix : said.claims) {
        if (other_covers(key, prefix)) return false;
        const auto inside = [&](const IpAddress& address) { return prefix.contains(address); };
        for (auto it = claims_.lower_bound({prefix, PublicKey{}});
             it != claims_.end() && inside(it->first.address()); ++it)
            if (it->second != key) return false;
        for (auto it = endpoints_.lower_bound({prefix.address(), PublicKey{}});
             it != endpoints_.end() && inside(it->first); ++it)
            if (it->second != key) return false;
    }
    return std::all_of(said.endpoints.begin(), said.endpoints.end(), [&](const IpAddress& address) {
        if (other_covers(key, Prefix::host(address))) return false;
        for (auto it = endpoints_.lower_bound({address, PublicKey{}});
             it != endpoints_.end() && it->first == address; ++it)
            if (it->second != key) return false;
        return true;
    });
}

}  // namespace wglan
