// SPDX-License-Identifier: Apache-2.0
#include "agent/app/reachability.h"

#include <sodium.h>
#include <unistd.h>

#include <algorithm>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

namespace wglan {
namespace {

constexpr Milliseconds kLook{20}, kAgain{900}, kAtMost{3000};

}  // namespace

Reachability::Reachability(asio::io_context& io, FindAsker find) : io_(io), find_(std::move(find)) {}

Reachability::~Reachability() { stop(); }

void Reachability::stop() {
    boost::system::error_code ignored;
    if (stream_) stream_->close(ignored);
    stream_.reset();
    socket_.reset();
    device_.clear();
    ifindex_ = 0;
}

void Reachability::serve_at(const std::string& device, int ifindex, const IpAddress& overlay) {
    if (device == device_ && ifindex == ifindex_ && overlay == overlay_) return;
    stop();
    device_ = device;
    ifindex_ = ifindex;
    overlay_ = overlay;
    auto socket = ReachSocket::open(overlay, device);
    if (!socket) {
        error_ = socket.error().message();
        spdlog::warn("peers' questions about their ports aren't answered: {}", error_);
        return;
    }
    socket_.emplace(std::move(*socket));
    stream_ = std::make_unique<asio::posix::stream_descriptor>(io_, ::dup(socket_->fd()));
    wait_for_datagrams();
}

void Reachability::wait_for_datagrams() {
    stream_->async_wait(asio::posix::stream_descriptor::wait_read,
                        [this](const boost::system::error_code& error) {
                            if (error) return;
                            read_datagrams();
                            if (stream_) wait_for_datagrams();
                        });
}

void Reachability::read_datagrams() {
    if (!socket_) return;
    for (const ReachSocket::Datagram& datagram : socket_->read()) {
        if (const auto nonce = decode_reach_request(datagram.bytes))
            answer(datagram.from, *nonce);
        else if (const auto said = decode_reach_answer(datagram.bytes))
            for (const auto& weak : asking_)
                if (const auto asking = weak.lock())
                    asking->take(datagram.from, *said, system_clock().now(), system_clock().unix_now());
    }
}

// WireGuard let the packet in by this source address: it is that peer's.
void Reachability::answer(const IpAddress& from, const ReachNonce& nonce) {
    const auto asker = find_(from);
    if (!asker) return;
    ReachAnswer answer;
    answer.nonce = nonce;
    answer.seen = asker->seen;
    answer.time = system_clock().unix_now();
    if (!limits_.take(asker->key, system_clock().now())) {
        // Who asks on and on is told so a few times.
        if (!refusals_.take(asker->key, system_clock().now())) return;
        answer.status = ReachAnswer::Status::too_many;
    } else {
        for (const Endpoint& target : knock_targets(*asker)) {
            if (auto sent = send_knock({nonce, target}, mark_); sent)
                answer.targets.push_back(target);
            else
                spdlog::debug("{}", sent.error().message());
        }
        if (answer.targets.empty()) answer.status = ReachAnswer::Status::unable;
    }
    if (auto sent = socket_->send(from, encode_reach_answer(answer)); !sent)
        spdlog::debug("{}", sent.error().message());
}

void Reachability::send_questions(const Asking& asking) {
    if (!socket_) return;
    for (const Asking::One& one : asking.all()) {
        if (one.outcome.answer) continue;
        if (auto sent = socket_->send(one.outcome.asked.address, encode_reach_request(one.nonce)); !sent)
            spdlog::debug("{}", sent.error().message());
    }
}

Task<ReachSurvey> Reachability::ask(std::vector<ReachQuestion> questions, std::uint16_t listen_port) {
    ReachSurvey survey;
    if (!socket_) {
        survey.error = error_;
        co_return survey;
    }
    const SteadyTime start = system_clock().now();
    std::vector<ReachNonce> nonces(questions.size());
    for (ReachNonce& nonce : nonces) randombytes_buf(nonce.data(), nonce.size());
    const auto asking = std::make_shared<Asking>(std::move(questions), nonces, start);
    std::erase_if(asking_, [](const auto& weak) { return weak.expired(); });
    asking_.push_back(asking);
    auto listener = KnockListener::open(listen_port);
    if (!listener) survey.deaf = listener.error().message();

    send_questions(*asking);
    bool again = false;
    asio::steady_timer timer(io_);
    for (;;) {
        timer.expires_after(kLook);
        co_await timer.async_wait(asio::use_awaitable);
        if (listener)
            for (const KnockListener::Arrival& arrival : listener->read())
                asking->take(arrival.knock, arrival.stage);
        const SteadyTime now = system_clock().now();
        if (asking->settled(now) || now - start > kAtMost) break;
        if (again || now - start < kAgain) continue;
        again = true;
        send_questions(*asking);
    }
    survey.outcomes = asking->outcomes();
    co_return survey;
}

}  // namespace wglan
