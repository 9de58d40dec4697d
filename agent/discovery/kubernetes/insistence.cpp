// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/insistence.h"

#include <algorithm>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>

#include "agent/discovery/source_tasks.h"

namespace wglan {

using namespace asio::experimental::awaitable_operators;

namespace {

// Jitter halves a pause: none is shorter than half a second.
constexpr Milliseconds kFirstPause{1000}, kMostPause{4000};
constexpr unsigned kRefusals = 4;
// A server behind a balancer may hang while the next one answers.
constexpr Milliseconds kTry{10'000};
constexpr Milliseconds kMostAsked{3'600'000};

bool is_refusal(unsigned status) {
    return status >= 400 && status < 500 && status != 408 && status != 409 && status != 429;
}

Milliseconds time_until(SteadyTime then, SteadyTime now) {
    return std::max(std::chrono::duration_cast<Milliseconds>(then - now), Milliseconds{0});
}

}  // namespace

Insistence::Insistence(SteadyTime until, Backoff::Random random)
    : until_(until), backoff_(kFirstPause, kMostPause, std::move(random)) {}

std::optional<Milliseconds> Insistence::pause(unsigned status, std::optional<Milliseconds> asked,
                                              SteadyTime now) {
    if (is_refusal(status) && ++refusals_ >= kRefusals) return std::nullopt;
    const auto wait = std::max(backoff_.next(), asked.value_or(Milliseconds{0}));
    if (now + wait >= until_) return std::nullopt;
    return wait;
}

Task<Result<HttpResponse>> insist(const SourceContext& context, SteadyTime until, std::string doing,
                                  AskApi ask) {
    const Clock& clock = *context.clock;
    Insistence insistence(until, context.random);
    for (;;) {
        const auto longest = std::min(kTry, time_until(until, clock.now()));
        auto answer = co_await (ask() || sleep_for(longest));
        unsigned status = 0;
        std::optional<Milliseconds> asked;
        Error why(ErrorKind::timeout, doing + ": no answer in time");
        if (answer.index() == 0) {
            auto& response = std::get<0>(answer);
            if (response) {
                status = response->status;
                if ((status >= 200 && status < 300) || is_another(status, response->body))
                    co_return std::move(*response);
                asked = retry_after(*response, kMostAsked);
                why = kube_error(status, response->body, doing.c_str());
            } else {
                why = Error(ErrorKind::timeout,
                            fmt::format("{}: no answer in time: {}", doing, response.error().message()));
            }
        }
        const auto wait = insistence.pause(status, asked, clock.now());
        if (!wait) co_return Failure(std::move(why));
        co_await sleep_for(*wait);
    }
}

}  // namespace wglan
