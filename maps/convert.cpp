// SPDX-License-Identifier: Apache-2.0
#include "maps/convert.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace wglan {

namespace {

template <class Key>
Key to_key(const Prefix& prefix) {
    Key key{};
    key.prefix_len = prefix.length();
    const auto bytes = prefix.address().bytes();
    std::copy_n(bytes.begin(), std::min(bytes.size(), sizeof key.address), key.address);
    return key;
}

// Lengths are bounded by the caller, so this can't fail.
Prefix make_prefix(const IpAddress& address, unsigned length) {
    return Prefix::make(address, std::min<unsigned>(length, address.bit_length()))
        .value_or(Prefix::host(address));
}

}  // namespace

wglan_key4 to_key4(const Prefix& prefix) { return to_key<wglan_key4>(prefix); }
wglan_key6 to_key6(const Prefix& prefix) { return to_key<wglan_key6>(prefix); }

Prefix to_prefix(const wglan_key4& key) {
    return make_prefix(IpAddress::v4({key.address[0], key.address[1], key.address[2], key.address[3]}),
                       key.prefix_len);
}

Prefix to_prefix(const wglan_key6& key) {
    return make_prefix(IpAddress::v6(std::to_array(key.address)), key.prefix_len);
}

wglan_endpoint_key to_endpoint_key(wglan_endpoint_kind kind, const Endpoint& endpoint,
                                   std::uint8_t protocol) {
    wglan_endpoint_key key{};
    put_address(key.address, endpoint.address);
    key.port = kind == WGLAN_ENDPOINT_FRAGMENT ? std::uint16_t{0} : endpoint.port;
    key.protocol = protocol;
    key.kind = static_cast<__u8>(kind);
    return key;
}

void put_address(__u8 (&to)[16], const IpAddress& address) {
    const auto bytes = address.mapped();
    std::copy(bytes.begin(), bytes.end(), to);
}

IpAddress to_address(const __u8 (&bytes)[16]) {
    static constexpr std::array<__u8, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::equal(kMapped.begin(), kMapped.end(), bytes))
        return IpAddress::v4({bytes[12], bytes[13], bytes[14], bytes[15]});
    return IpAddress::v6(std::to_array(bytes));
}

void put_name(char (&to)[WGLAN_NAME_LENGTH], std::string_view name) {
    auto length = std::min(name.size(), sizeof to - 1);
    if (length < name.size())
        while (length > 0 && (static_cast<unsigned char>(name[length]) & 0xc0) == 0x80) --length;
    std::memset(to, 0, sizeof to);
    std::memcpy(to, name.data(), length);
}

std::string get_name(const char (&from)[WGLAN_NAME_LENGTH]) { return {from, strnlen(from, sizeof from)}; }

}  // namespace wglan
