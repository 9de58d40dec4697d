// SPDX-License-Identifier: Apache-2.0
// A netlink socket that sends requests and waits until each is answered.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <libmnl/libmnl.h>

namespace wglan::bench {

class Netlink {
public:
    explicit Netlink(int protocol);

    // One message of `type` in a buffer of its own; asks for an acknowledgement.
    static nlmsghdr* message(std::vector<char>& buffer, std::uint16_t type, std::uint16_t flags);
    // Sends the bytes; returns after `answers` acknowledgements, the first error of which is thrown.
    void request(const void* bytes, std::size_t size, unsigned answers, const std::string& what);

private:
    struct Close {
        void operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }
    };
    std::unique_ptr<mnl_socket, Close> socket_;
    std::vector<char> answer_;
};

}  // namespace wglan::bench
