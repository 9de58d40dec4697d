// SPDX-License-Identifier: Apache-2.0
#include "agent/http/marked_lookup.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <memory>

// Debian 13's version would have these calls replaced by ones that Debian 12's lacks.
#define CARES_NO_DEPRECATED
#include <ares.h>

namespace wglan::http {
namespace {

constexpr int kTries = 2;
constexpr int kTryMs = 2000;  // the first time; doubled by each further try

struct ChannelDelete {
    void operator()(ares_channel channel) const { ares_destroy(channel); }
};
using Channel = std::unique_ptr<std::remove_pointer_t<ares_channel>, ChannelDelete>;

struct Answer {
    bool done = false;
    int status = ARES_SUCCESS;
    std::vector<IpAddress> found;
};

int set_mark(ares_socket_t socket, int /*type*/, void* mark) {
    return ::setsockopt(socket, SOL_SOCKET, SO_MARK, mark, sizeof(std::uint32_t)) == 0 ? 0 : -1;
}

template <std::size_t N, class Address>
void add(std::vector<IpAddress>& found, const Address& address) {
    static_assert(sizeof address == N);
    auto ip = IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&address), N});
    if (ip && std::find(found.begin(), found.end(), *ip) == found.end()) found.push_back(*ip);
}

void note(void* argument, int status, int /*timeouts*/, ares_addrinfo* list) {
    auto& answer = *static_cast<Answer*>(argument);
    answer.done = true;
    answer.status = status;
    if (list == nullptr) return;
    for (const auto* node = list->nodes; node != nullptr; node = node->ai_next) {
        if (node->ai_family == AF_INET)
            add<4>(answer.found, reinterpret_cast<const sockaddr_in*>(node->ai_addr)->sin_addr);
        else if (node->ai_family == AF_INET6)
            add<16>(answer.found, reinterpret_cast<const sockaddr_in6*>(node->ai_addr)->sin6_addr);
    }
    ares_freeaddrinfo(list);
}

// Waits for the channel's sockets or its next time-out, and lets it go on.
void step(ares_channel channel) {
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
    const int wanted = ares_getsock(channel, sockets.data(), ARES_GETSOCK_MAXNUM);
    std::array<pollfd, ARES_GETSOCK_MAXNUM> fds{};
    nfds_t count = 0;
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
        const bool read = ARES_GETSOCK_READABLE(wanted, i) != 0;
        const bool write = ARES_GETSOCK_WRITABLE(wanted, i) != 0;
        if (!read && !write) continue;
        fds[count++] = {sockets[i], static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0)), 0};
    }
    timeval most{1, 0};
    timeval next{};
    const timeval* wait = ares_timeout(channel, &most, &next);
    const auto wait_ms = static_cast<int>(wait->tv_sec * 1000 + wait->tv_usec / 1000);
    if (::poll(fds.data(), count, wait_ms + 1) <= 0) {
        ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        return;
    }
    for (nfds_t i = 0; i < count; ++i) {
        const bool read = (fds[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
        const bool write = (fds[i].revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
        if (read || write)
            ares_process_fd(channel, read ? fds[i].fd : ARES_SOCKET_BAD, write ? fds[i].fd : ARES_SOCKET_BAD);
    }
}

}  // namespace

Result<std::vector<IpAddress>> marked_lookup(const std::string& host, std::uint32_t mark) {
    static const int library = ares_library_init(ARES_LIB_INIT_ALL);
    if (library != ARES_SUCCESS) return fail(ErrorKind::exhausted, ares_strerror(library));
    ares_options options{};
    options.tries = kTries;
    options.timeout = kTryMs;
    ares_channel raw = nullptr;
    if (const int status = ares_init_options(&raw, &options, ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS);
        status != ARES_SUCCESS)
        return fail(ErrorKind::exhausted, ares_strerror(status));
    // The callbacks' data outlives the channel, whose end may still call them.
    Answer answer;
    const Channel channel(raw);
    ares_set_socket_configure_callback(channel.get(), set_mark, &mark);
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_ADDRCONFIG;
    ares_getaddrinfo(channel.get(), host.c_str(), nullptr, &hints, note, &answer);
    while (!answer.done) step(channel.get());
    if (answer.found.empty())
        return fail(ErrorKind::not_found,
                    answer.status == ARES_SUCCESS ? "no address" : ares_strerror(answer.status));
    return std::move(answer.found);
}

}  // namespace wglan::http
