// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/http/http.h"
#include "tools/wglanctl/options.h"

namespace wglan::ctl {

// Does what the options say; answers go to standard output, complaints to standard error.
Task<Exit> run_command(asio::io_context& io, Options options);

}  // namespace wglan::ctl
