// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace wglan::test {

// RUN_ALL_TESTS, for programs that meet kernels of all kinds: says at the end how many tests were skipped
// for which reason (a program that passes tells nobody otherwise), and is 77 where all that ran were.
int run_tests();

}  // namespace wglan::test
