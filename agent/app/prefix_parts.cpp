// SPDX-License-Identifier: Apache-2.0
#include "agent/app/prefix_parts.h"

#include <algorithm>

namespace wglan {

std::pair<Prefix, Prefix> halves(const Prefix& prefix) {
    const auto length = static_cast<unsigned>(prefix.length() + 1);
    auto bytes = prefix.address().mapped();
    const unsigned bit = prefix.length() + (prefix.family() == Family::v4 ? 96U : 0U);
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | (0x80U >> (bit % 8)));
    const auto other = prefix.family() == Family::v4 ? IpAddress::from_bytes(std::span(bytes).subspan(12))
                                                     : IpAddress::from_bytes(bytes);
    return {Prefix::make(prefix.address(), length).value(), Prefix::make(other.value(), length).value()};
}

bool has_hole(const Prefix& prefix, const std::vector<Prefix>& holes) {
    return std::any_of(holes.begin(), holes.end(), [&](const Prefix& hole) { return prefix.contains(hole); });
}

std::vector<Prefix> without(const Prefix& prefix, const std::vector<Prefix>& holes) {
    bool touched = false;
    for (const Prefix& hole : holes) {
        if (hole.contains(prefix)) return {};
        touched = touched || prefix.contains(hole);
    }
    if (!touched) return {prefix};
    const auto [low, high] = halves(prefix);
    std::vector<Prefix> parts = without(low, holes);
    for (const Prefix& part : without(high, holes)) parts.push_back(part);
    return parts;
}

}  // namespace wglan
