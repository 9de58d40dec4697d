// SPDX-License-Identifier: Apache-2.0
// A program by itself, by BPF_PROG_TEST_RUN.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/datapath_worker/generator.h"

namespace wglan::bench {

// Nanoseconds a run, `passes` times: in each, every destination of the range a few dozen times. `program`
// -1: an empty one, which shows what the harness adds. `l2`: the packets have a MAC header, to `device`.
std::vector<double> time_program(int program, const Traffic& traffic, bool l2, const std::string& device,
                                 unsigned passes);

}  // namespace wglan::bench
