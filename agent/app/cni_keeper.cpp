// SPDX-License-Identifier: Apache-2.0
#include "agent/app/cni_keeper.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include <spdlog/spdlog.h>

namespace wglan {
namespace {

// After news: a notice may be lost. Then as long as something is down, well within CniWatch::kToldHolds.
constexpr std::array kAfterNews{Milliseconds(50), Milliseconds(150), Milliseconds(400)};
constexpr Milliseconds kAgain{2000};
// A peer that can't be told now.
constexpr Milliseconds kLater{500};

}  // namespace

CniKeeper::CniKeeper(asio::io_context& io, Calls calls)
    : io_(io), calls_(std::move(calls)), look_timer_(io), tell_timer_(io) {}

CniKeeper::~CniKeeper() { stop(); }

void CniKeeper::stop() {
    boost::system::error_code ignored;
    if (stream_) stream_->close(ignored);
    stream_.reset();
    socket_.reset();
    device_.clear();
    error_.clear();
    ifindex_ = 0;
    look_timer_.cancel();
    tell_timer_.cancel();
    telling_.clear();
    prefixes_.clear();
    (void)watch_.update({}, system_clock().now());
}

void CniKeeper::serve_at(const std::string& device, int ifindex, const IpAddress& overlay) {
    if (device == device_ && ifindex == ifindex_ && overlay == overlay_) return;
    boost::system::error_code ignored;
    if (stream_) stream_->close(ignored);
    stream_.reset();
    socket_.reset();
    device_ = device;
    ifindex_ = ifindex;
    overlay_ = overlay;
    auto socket = CniNoticeSocket::open(overlay, device);
    error_ = socket ? "" : socket.error().message();
    if (!socket) {
        spdlog::warn("peers' notices of their CNI aren't heard: {}", error_);
        return;
    }
    socket_.emplace(std::move(*socket));
    stream_ = std::make_unique<asio::posix::stream_descriptor>(io_, ::dup(socket_->fd()));
    wait_for_notices();
    tell();
}

void CniKeeper::wait_for_notices() {
    stream_->async_wait(asio::posix::stream_descriptor::wait_read,
                        [this](const boost::system::error_code& error) {
                            if (error || !stream_) return;
                            read_notices();
                            if (stream_) wait_for_notices();
                        });
}

// WireGuard let the packet in by this source address: it is that peer's.
void CniKeeper::read_notices() {
    const SteadyTime now = system_clock().now();
    for (const CniNoticeSocket::Notice& notice : socket_->read())
        if (const auto peer = calls_.peer_at(notice.from)) watch_.told(*peer, notice.down, now);
    if (look()) calls_.changed();
}

bool CniKeeper::update(std::map<Prefix, CniPrefix> prefixes) {
    prefixes_ = std::move(prefixes);
    return look();
}

bool CniKeeper::look() {
    const SteadyTime now = system_clock().now();
    const bool changed = watch_.update(prefixes_, now);
    look_later();
    bool news = false;
    const auto down_of = [&](const PublicKey& peer) {
        const auto it = watch_.down().find(peer);
        return it == watch_.down().end() ? CniDown{} : it->second;
    };
    for (const auto& [peer, down] : watch_.down()) news = telling_.try_emplace(peer).second || news;
    for (auto& [peer, telling] : telling_) {
        const CniDown down = down_of(peer);
        if (down == telling.down) continue;
        telling = {down, 0, now};
        news = true;
    }
    if (news) tell();
    return changed;
}

void CniKeeper::look_later() {
    if (!watch_.next()) {
        look_timer_.cancel();
        return;
    }
    look_timer_.expires_at(*watch_.next());
    look_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error && look()) calls_.changed();
    });
}

void CniKeeper::tell() {
    const SteadyTime now = system_clock().now();
    for (auto it = telling_.begin(); it != telling_.end();) {
        Telling& telling = it->second;
        if (telling.next > now) {
            ++it;
            continue;
        }
        const auto to = socket_ ? calls_.address_of(it->first) : std::nullopt;
        if (!to) {
            telling.next = now + kLater;
        } else {
            // What isn't heard is said again.
            if (auto sent = socket_->send(*to, telling.down); !sent)
                spdlog::debug("{}", sent.error().message());
            const bool news = telling.said < kAfterNews.size();
            telling.next = now + (news ? kAfterNews[telling.said] : kAgain);
            ++telling.said;
        }
        // All is well, and was said often enough; or there is nobody to tell.
        const bool done = !telling.down.any() && (!to || telling.said > kAfterNews.size());
        it = done ? telling_.erase(it) : std::next(it);
    }
    tell_later();
}

void CniKeeper::tell_later() {
    if (telling_.empty()) {
        tell_timer_.cancel();
        return;
    }
    const auto soonest =
        std::ranges::min_element(telling_, {}, [](const auto& item) { return item.second.next; });
    tell_timer_.expires_at(soonest->second.next);
    tell_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) tell();
    });
}

}  // namespace wglan
