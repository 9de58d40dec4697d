// SPDX-License-Identifier: Apache-2.0
// What one change of a prefix costs: nanoseconds from the first system call to the kernel's last answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/ip.h"
#include "tools/bench/datapath_worker/steering.h"

namespace wglan::bench {

// Each gives `count` times. `number` is of a prefix that isn't there: it is put in, taken out and so on.
std::vector<double> change_map(Steering& steering, std::uint32_t number, Family family, unsigned count);
// All prefixes of a family into an empty map: by the agent's own call, and one system call each.
std::vector<double> load_map(Steering& steering, Family family, unsigned rounds);
std::vector<double> load_map_singly(Steering& steering, Family family, unsigned rounds);
std::vector<double> change_route(const std::string& device, std::uint32_t number, Family family,
                                 unsigned count);
// One transaction each, by netlink alone: what nft(8) does around it isn't in it.
std::vector<double> change_nft_element(const std::string& table, const std::string& set, std::uint32_t number,
                                       Family family, unsigned count);

// All of this network namespace.
void flush_conntrack();

}  // namespace wglan::bench
