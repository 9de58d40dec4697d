// SPDX-License-Identifier: Apache-2.0
// What wglan-agent can do; each returns the exit status.
#pragma once

#include "config/config.h"

namespace wglan {

inline constexpr int kExitOk = 0, kExitFailure = 1, kExitUsage = 2;

// Logs the error; 2 for what the user has to mend in the configuration, 1 else.
int exit_status(const Error& error);

int run_agent(const ConfigInput& input);
int run_check(const ConfigInput& input);
int run_dry_run(const ConfigInput& input);
int run_cleanup(const ConfigInput& input);

// Takes away every object of ours: routes, programs and maps, the interface. Idempotent.
Result<> clean_up(const Config& config);

}  // namespace wglan
