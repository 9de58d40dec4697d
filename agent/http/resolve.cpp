// SPDX-License-Identifier: Apache-2.0
#include "agent/http/resolve.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/base/unique_fd.h"
#include "agent/http/marked_lookup.h"

namespace wglan::http {
namespace {

constexpr int kMaxLookups = 16;
std::atomic<int> lookups{0};

// Shared by the thread and whoever waits; either may go first. The thread knows no io_context: it
// tells the loop through an eventfd.
struct Lookup {
    std::string host;
    std::uint16_t port = 0;
    std::uint32_t mark = 0;
    UniqueFd done;
    std::mutex mutex;
    std::vector<Endpoint> found;
    std::string error;
};

void add(std::vector<Endpoint>& found, const IpAddress& ip, std::uint16_t port) {
    Endpoint endpoint{ip, port};
    if (std::find(found.begin(), found.end(), endpoint) == found.end()) found.push_back(endpoint);
}

void add(std::vector<Endpoint>& found, const sockaddr* address, std::uint16_t port) {
    std::span<const std::uint8_t> bytes;
    if (address->sa_family == AF_INET)
        bytes = {
            reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr),
            4};
    else if (address->sa_family == AF_INET6)
        bytes = {
            reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr),
            16};
    if (auto ip = IpAddress::from_bytes(bytes)) add(found, *ip, port);
}

// Whatever the host's name service switch knows, by packets without a mark.
void look_up_plainly(const std::shared_ptr<Lookup>& lookup) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    int code = ::getaddrinfo(lookup->host.c_str(), nullptr, &hints, &list);
    {
        std::lock_guard lock(lookup->mutex);
        for (auto* entry = list; entry != nullptr; entry = entry->ai_next)
            add(lookup->found, entry->ai_addr, lookup->port);
        if (code != 0) lookup->error = code == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(code);
    }
    if (list != nullptr) ::freeaddrinfo(list);
}

bool look_up_marked(const std::shared_ptr<Lookup>& lookup) {
    if (lookup->mark == 0) return false;
    auto found = marked_lookup(lookup->host, lookup->mark);
    if (!found) return false;
    std::lock_guard lock(lookup->mutex);
    for (const IpAddress& ip : *found) add(lookup->found, ip, lookup->port);
    return true;
}

void look_up(const std::shared_ptr<Lookup>& lookup) {
    // mDNS, systemd-resolved and the like are beyond a library that only speaks DNS.
    if (!look_up_marked(lookup)) look_up_plainly(lookup);
    std::uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(lookup->done.get(), &one, sizeof one);
    lookups.fetch_sub(1);
}

Result<> start(const std::shared_ptr<Lookup>& lookup) {
    if (lookups.fetch_add(1) >= kMaxLookups) {
        lookups.fetch_sub(1);
        return fail(ErrorKind::exhausted, "too many name look-ups are under way; is the DNS server down?");
    }
    try {
        std::thread(look_up, lookup).detach();
    } catch (const std::system_error& error) {
        lookups.fetch_sub(1);
        return fail(ErrorKind::exhausted, std::string("start a thread: ") + error.what());
    }
    return {};
}

}  // namespace

Task<Result<std::vector<Endpoint>>> resolve(std::string host, std::uint16_t port, std::uint32_t mark,
                                            SteadyTime deadline) {
    if (auto literal = IpAddress::parse(host)) co_return std::vector<Endpoint>{Endpoint{*literal, port}};
    auto lookup = std::make_shared<Lookup>();
    lookup->host = host;
    lookup->port = port;
    lookup->mark = mark;
    lookup->done = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    UniqueFd mine(::fcntl(lookup->done.get(), F_DUPFD_CLOEXEC, 0));
    if (!mine.valid()) co_return fail_errno("look up " + host + ": eventfd");
    auto executor = co_await asio::this_coro::executor;
    auto event = std::make_shared<asio::posix::stream_descriptor>(executor, mine.release());
    if (auto started = start(lookup); !started) co_return fail_with(started, "look up " + host);

    asio::steady_timer timer(executor, deadline);
    timer.async_wait([event](boost::system::error_code error) {
        if (!error) event->cancel(error);
    });
    boost::system::error_code error;
    co_await event->async_wait(asio::posix::stream_descriptor::wait_read,
                               asio::redirect_error(asio::use_awaitable, error));
    timer.cancel();
    if (error) co_return fail(ErrorKind::timeout, "look up " + host + ": no answer in time");
    std::lock_guard lock(lookup->mutex);
    if (lookup->found.empty())
        co_return fail(ErrorKind::not_found,
                       "look up " + host + ": " + (lookup->error.empty() ? "no address" : lookup->error));
    co_return std::move(lookup->found);
}

}  // namespace wglan::http
