// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: the addresses of a name, asked for by packets that carry a mark.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/result.h"

namespace wglan::http {

// The addresses of `host` from /etc/hosts and the name servers of /etc/resolv.conf, in the order of
// RFC 6724, at least one; SO_MARK `mark` on each socket (needs CAP_NET_ADMIN). Blocks for some seconds
// where no server answers. not_found: nobody knows the name, or no server answered.
Result<std::vector<IpAddress>> marked_lookup(const std::string& host, std::uint32_t mark);

}  // namespace wglan::http
