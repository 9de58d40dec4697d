// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: name look-ups that never hold up the loop.
#pragma once

#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "agent/base/clock.h"
#include "agent/http/http.h"

namespace wglan::http {

// The addresses of `host` (a name, or an address, which needs no look-up) with that port, in
// getaddrinfo(3)'s order, at least one. The look-up runs on a thread of its own, so that neither a
// deadline nor a cancellation waits for it; at most 16 are under way at once (exhausted beyond).
Task<Result<std::vector<Endpoint>>> resolve(std::string host, std::uint16_t port, SteadyTime deadline);

}  // namespace wglan::http
