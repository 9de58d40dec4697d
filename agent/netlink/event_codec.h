// SPDX-License-Identifier: Apache-2.0
// rtnetlink notifications as NetlinkEvents. Pure.
#pragma once

#include <vector>

#include "agent/netlink/message.h"
#include "agent/netlink/netlink.h"

namespace wglan::rtnl {

// Appends the events of one datagram. Left out: routes of other tables than main and cached ones,
// and bridge ports' settings. What can't be parsed becomes an overrun: something changed, and
// nobody knows what.
void parse_events(Bytes datagram, std::vector<NetlinkEvent>& events);

}  // namespace wglan::rtnl
