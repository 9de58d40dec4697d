// SPDX-License-Identifier: Apache-2.0
// Keys of the maps from and to values of the code base.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/ip.h"
#include "maps/wglan_maps.h"

namespace wglan {

// The prefix must be of the key's family.
wglan_key4 to_key4(const Prefix& prefix);
wglan_key6 to_key6(const Prefix& prefix);
// Whatever the map holds gives a Prefix: host bits are cleared, a length over the most is the most.
Prefix to_prefix(const wglan_key4& key);
Prefix to_prefix(const wglan_key6& key);

wglan_endpoint_key to_endpoint_key(wglan_endpoint_kind kind, const Endpoint& endpoint, std::uint8_t protocol);
void put_address(__u8 (&to)[16], const IpAddress& address);  // IPv4 becomes IPv4-mapped
// Of 16 bytes; IPv4-mapped ones become IPv4.
IpAddress to_address(const __u8 (&bytes)[16]);

// Cut at 31 bytes, never inside a UTF-8 character; the rest is zero.
void put_name(char (&to)[WGLAN_NAME_LENGTH], std::string_view name);
std::string get_name(const char (&from)[WGLAN_NAME_LENGTH]);

}  // namespace wglan
