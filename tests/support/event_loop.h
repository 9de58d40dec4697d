// SPDX-License-Identifier: Apache-2.0
// Runs coroutines to their end on an io_context inside a test, under a watchdog.
#pragma once

#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "agent/http/http.h"

namespace wglan::test {

inline constexpr std::chrono::seconds kWatchdog{30};

// Turns the loop until `done()` says so; a test failure when the watchdog bites first.
template <class Done>
void turn_until(asio::io_context& io, Done done) {
    const auto end = std::chrono::steady_clock::now() + kWatchdog;
    while (!done() && std::chrono::steady_clock::now() < end) {
        if (io.stopped()) io.restart();
        io.run_one_for(std::chrono::milliseconds(50));
    }
    if (!done()) ADD_FAILURE() << "the loop did not get there in " << kWatchdog.count() << " s";
}

// The coroutine's value; T must be movable. Ends the test's process if it never comes.
template <class T>
T run(asio::io_context& io, Task<T> task) {
    std::optional<T> out;
    std::exception_ptr error;
    bool done = false;
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr e, T value) {
        error = e;
        if (!e) out.emplace(std::move(value));
        done = true;
    });
    turn_until(io, [&] { return done; });
    if (!done) std::abort();
    if (error) std::rethrow_exception(error);
    return std::move(*out);
}

inline void run(asio::io_context& io, Task<void> task) {
    std::exception_ptr error;
    bool done = false;
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr e) {
        error = e;
        done = true;
    });
    turn_until(io, [&] { return done; });
    if (!done) std::abort();
    if (error) std::rethrow_exception(error);
}

inline Task<void> sleep_for(std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace wglan::test
