// SPDX-License-Identifier: Apache-2.0
// deps: wglan_wireguard
// The kernel's answers: dumps of a WireGuard device, acknowledgements, the family's id.
#include <linux/netlink.h>

#include <cstring>

#include "agent/wireguard/netlink_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::uint32_t kSequence = 1;
    // Aligned, as the socket's buffer is.
    wglan::WipedBytes input(size + 1);
    input.append(std::span<const std::uint8_t>{data, size});
    // Else hardly an input gets past the sequence number.
    if (size >= sizeof(nlmsghdr) && data[size - 1] % 4 != 0) {
        auto* header = reinterpret_cast<nlmsghdr*>(input.data());
        header->nlmsg_seq = kSequence;
        header->nlmsg_len = static_cast<std::uint32_t>(size);
    }
    wglan::NetlinkDump dump(kSequence);
    if (auto state = dump.feed(input.bytes())) static_cast<void>(dump.take());
    static_cast<void>(wglan::parse_ack(input.bytes(), kSequence));
    static_cast<void>(wglan::parse_family_reply(input.bytes()));
    return 0;
}
