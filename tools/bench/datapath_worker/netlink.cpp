// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/netlink.h"

#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

Netlink::Netlink(int protocol) : socket_(mnl_socket_open2(protocol, SOCK_CLOEXEC)), answer_(1U << 16U) {
    if (!socket_) must_call(-1, "open a netlink socket");
    must_call(mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID), "bind a netlink socket");
}

nlmsghdr* Netlink::message(std::vector<char>& buffer, std::uint16_t type, std::uint16_t flags) {
    buffer.assign(4096, '\0');
    nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    return header;
}

void Netlink::request(const void* bytes, std::size_t size, unsigned answers, const std::string& what) {
    must_call(static_cast<int>(mnl_socket_sendto(socket_.get(), bytes, size)), what);
    int error = 0;
    while (answers > 0) {
        const auto length = must_call(
            static_cast<int>(mnl_socket_recvfrom(socket_.get(), answer_.data(), answer_.size())), what);
        int left = length;
        for (auto* header = reinterpret_cast<nlmsghdr*>(answer_.data()); mnl_nlmsg_ok(header, left);
             header = mnl_nlmsg_next(header, &left)) {
            if (header->nlmsg_type != NLMSG_ERROR) continue;
            const auto* said = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
            if (said->error != 0 && error == 0) error = -said->error;
            if (answers > 0) --answers;
        }
    }
    if (error != 0) throw std::system_error(error, std::system_category(), what);
}

}  // namespace wglan::bench
