// SPDX-License-Identifier: Apache-2.0
// Network namespaces and processors.
#pragma once

#include <functional>
#include <string>

namespace wglan::bench {

// Runs the function in a thread inside /run/netns/NAME ("" = where we are); sockets made there stay
// there. Exceptions come back.
void inside(const std::string& name, const std::function<void()>& function);
unsigned ifindex_of(const std::string& device);
std::string mac_of(const std::string& device);  // six bytes
void pin_to(int cpu);

}  // namespace wglan::bench
