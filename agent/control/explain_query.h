// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/control/explanation.h"
#include "agent/http/http.h"

namespace wglan {

// dst (address), src (address of the same family), proto (tcp, udp, icmp, icmpv6, sctp or 0-255),
// sport and dport (1-65535, with tcp, udp or sctp), mark (decimal or 0x...). Only dst is needed;
// errors are `invalid` and name the parameter.
Result<ExplainRequest> parse_explain_query(const HttpRequest& http);

}  // namespace wglan
