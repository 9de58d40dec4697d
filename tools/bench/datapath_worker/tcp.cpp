// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/tcp.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/unique_fd.h"
#include "tools/bench/datapath_worker/host.h"
#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kChunk = 128U * 1024;
constexpr auto kSlowStart = std::chrono::milliseconds(400);
constexpr int kConnectMs = 10000;

// IPv6 sockets serve both families; IPv4 addresses are mapped.
sockaddr_in6 socket_address(const std::string& text, std::uint16_t port) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    const auto mapped = must(IpAddress::parse(text)).mapped();
    std::memcpy(&address.sin6_addr, mapped.data(), mapped.size());
    return address;
}

UniqueFd tcp_socket() {
    return UniqueFd(must_call(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
}

void wait_for(int fd, short events, const char* what) {
    pollfd wait{fd, events, 0};
    if (must_call(::poll(&wait, 1, kConnectMs), what) == 0)
        throw std::runtime_error(std::string(what) + ": nothing happened within 10 s");
}

// Ends when the receiver's end goes.
void send_all_the_time(int fd) {
    const std::vector<char> bytes(kChunk);
    while (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) {
    }
}

double receive(int fd, double seconds) {
    std::vector<char> bytes(kChunk);
    std::uint64_t counted = 0;
    const auto start = Clock::now() + kSlowStart;
    const auto end =
        start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    auto first = Clock::time_point{};
    for (auto now = Clock::now(); now < end; now = Clock::now()) {
        wait_for(fd, POLLIN, "receive");
        const auto length = must_call(static_cast<int>(::recv(fd, bytes.data(), bytes.size(), 0)), "receive");
        if (length == 0) throw std::runtime_error("receive: the sender ended");
        if (now < start) continue;
        if (first == Clock::time_point{})
            first = now;
        else
            counted += static_cast<unsigned>(length);
    }
    return static_cast<double>(counted) * 8 / std::chrono::duration<double>(Clock::now() - first).count();
}

}  // namespace

double tcp_throughput(const TcpRun& run) {
    UniqueFd listener, client;
    inside(run.to, [&] {
        listener = tcp_socket();
        const int on = 1;
        must_call(::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "set SO_REUSEADDR");
        const sockaddr_in6 any = socket_address("::", run.port);
        must_call(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), "bind");
        must_call(::listen(listener.get(), 1), "listen");
    });
    inside(run.from, [&] {
        client = tcp_socket();
        const timeval most{kConnectMs / 1000, 0};
        must_call(::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most), "set SO_SNDTIMEO");
        const sockaddr_in6 to = socket_address(run.address, run.port);
        must_call(::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to),
                  "connect to " + run.address);
    });
    wait_for(listener.get(), POLLIN, "accept");
    UniqueFd server(must_call(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
    std::thread sender([&] { send_all_the_time(client.get()); });
    double rate = 0;
    std::exception_ptr problem;
    try {
        rate = receive(server.get(), run.seconds);
    } catch (...) {
        problem = std::current_exception();
    }
    ::shutdown(client.get(), SHUT_RDWR);
    sender.join();
    if (problem) std::rethrow_exception(problem);
    return rate;
}

}  // namespace wglan::bench
