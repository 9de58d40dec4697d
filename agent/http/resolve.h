// SPDX-License-Identifier: Apache-2.0
// Name look-ups that never hold up the loop.
#pragma once

#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "agent/base/clock.h"
#include "agent/http/http.h"

namespace wglan::http {

// The addresses of `host` (a name, or an address, which needs no look-up) with that port, at least one, in
// the order of RFC 6724. With a mark (SO_MARK, 0 = none) name servers are asked by packets that carry it,
// so that steering never takes them; who isn't found so is asked for by getaddrinfo(3), without one. The
// look-up runs on a thread of its own, so that neither a deadline nor a cancellation waits for it; at most
// 16 are under way at once (exhausted beyond).
Task<Result<std::vector<Endpoint>>> resolve(std::string host, std::uint16_t port, std::uint32_t mark,
                                            SteadyTime deadline);

}  // namespace wglan::http
