// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace wglan::ctl {

// A bash script that completes the commands and options of this command line.
std::string bash_completion(const CLI::App& app);

}  // namespace wglan::ctl
