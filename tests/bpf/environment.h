// SPDX-License-Identifier: Apache-2.0
// A network namespace of the test's own, devices in it, and a BPF file system.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/unique_fd.h"

namespace wglan::test {

// A TUN device, like wglan0: no MAC header. Gone with its descriptor.
class TunDevice {
public:
    TunDevice(const std::string& name, int mtu);  // aborts when it can't be made
    int ifindex() const { return ifindex_; }
    const std::string& name() const { return name_; }
    // The next packet that was sent into it, within 100 ms (the way into it is synchronous); empty if
    // none came.
    std::string read() const;

private:
    std::string name_;
    UniqueFd fd_;
    int ifindex_ = 0;
};

int make_veth(const std::string& name, const std::string& peer);  // ifindex of `name`; both are up
void remove_link(const std::string& name);
int ifindex_of(const std::string& name);
// A raw frame out of that device. `in_pieces`, for those of more than a page: behind the MAC header all is in
// fragments of the buffer.
void send_frame(int ifindex, const void* bytes, std::size_t size, bool in_pieces = false);

// Enters a new network namespace and mount namespace for the whole process, with a bpffs on a private
// directory (see bpffs()). Runs the tests. Exits with 77 and the reason where that isn't possible.
int run_privileged(int argc, char** argv);
const std::string& bpffs();

}  // namespace wglan::test
