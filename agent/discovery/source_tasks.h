// SPDX-License-Identifier: Apache-2.0
// What a source of two coroutines needs: one follows what others say, one keeps our own record there.
#pragma once

#include <exception>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/discovery/source.h"

namespace wglan {

Task<void> sleep_for(Milliseconds delay);

// Both share it with their source, so that it outlives the source while they end.
struct SourceTasks : std::enable_shared_from_this<SourceTasks> {
    SourceTasks(asio::io_context& loop, std::string source) : io(loop), name(std::move(source)) {}
    SourceTasks(const SourceTasks&) = delete;
    SourceTasks& operator=(const SourceTasks&) = delete;
    virtual ~SourceTasks() = default;

    void tell(SourceUpdate update) {
        // A copy: the callback may stop us, which drops ours.
        if (auto callback = on_update) callback(std::move(update));
    }

    // `start` owns this object for as long as its coroutine lives.
    template <class Start>
    void spawn(Start start, asio::cancellation_signal& signal) {
        auto ended = [self = shared_from_this()](std::exception_ptr error) {
            if (!error || self->stopped) return;
            try {
                std::rethrow_exception(error);
            } catch (const std::exception& e) {
                spdlog::error("{}: {}", self->name, e.what());
            }
        };
        asio::co_spawn(io, std::move(start), asio::bind_cancellation_slot(signal.slot(), std::move(ended)));
    }

    // After both were told to stop.
    void cancel() {
        on_update = nullptr;
        cancel_publisher.emit(asio::cancellation_type::terminal);
        cancel_follower.emit(asio::cancellation_type::terminal);
        // co_spawn's own handler may queue the cancellation with a pointer into our signals: they must
        // live until the queue is past it.
        asio::post(io, [self = shared_from_this()] {});
    }

    // Synced means that our own record stands there too. `publishing`: what hinders that; "" = nothing.
    static SourceStatus whole(SourceStatus following, const std::string& publishing) {
        if (following.state == SourceState::synced && !publishing.empty()) {
            following.state = SourceState::degraded;
            following.last_error = publishing;
        }
        return following;
    }

    asio::io_context& io;
    std::string name;
    Source::Callback on_update;
    asio::cancellation_signal cancel_publisher, cancel_follower;
    bool stopped = false;
};

}  // namespace wglan
