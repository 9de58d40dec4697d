// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/service_publisher.h"

#include <algorithm>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/discovery/json_read.h"
#include "agent/discovery/source_tasks.h"

namespace wglan {

using namespace asio::experimental::awaitable_operators;

Error http_error(const HttpResponse& response) {
    std::string words;
    if (auto object = json_read::parse_object(response.body, kMaxEnvelopeJson))
        if (auto text = json_read::optional_string(*object, "error", 4096); text && *text)
            words = text->value();
    words.resize(std::min<std::size_t>(words.size(), 200));
    std::ranges::replace_if(
        words, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    auto text = fmt::format("the service answered {}", response.status);
    return {response.status == 403 ? ErrorKind::permission : ErrorKind::protocol,
            words.empty() ? text : text + ": " + words};
}

ServicePublisher::ServicePublisher(SourceContext context, const ServiceOptions& options,
                                   std::shared_ptr<HttpClient> client, std::string source)
    : context_(std::move(context)),
      client_(std::move(client)),
      source_(std::move(source)),
      refresh_(options.refresh),
      slow_(options.backoff_most),
      backoff_(options.backoff_first, options.backoff_most, context_.random),
      contest_backoff_(options.backoff_first, options.backoff_most, context_.random),
      timer_(*context_.io) {
    if (refresh_ <= Milliseconds{0}) refresh_ = Seconds{context_.sealer->ttl_seconds()} / 3;
}

Task<void> ServicePublisher::run(std::function<void(SourceUpdate)> emit) {
    while (!stopped_) {
        const bool due = envelope_ && (wake_ || context_.clock->now() >= next_);
        if (!due) {
            co_await wait();
            continue;
        }
        wake_ = false;
        co_await put_once(emit);
    }
}

void ServicePublisher::stop() {
    stopped_ = true;
    timer_.cancel();
}

void ServicePublisher::publish(OwnRecord own) {
    auto envelope = context_.sealer->envelope(own.record);
    if (!envelope) {
        set_error(envelope.error().message());
        return;
    }
    if (envelope_ && *envelope_ == *envelope) return;
    envelope_ = std::move(*envelope);
    superseded_ = false;
    if (contests_ > 1 && !contest_over()) {
        // To be answered at once again and again would keep us and all readers busy for nothing.
        next_ = std::min(next_, context_.clock->now() + contest_backoff_.next());
        timer_.cancel();
        return;
    }
    backoff_.reset();
    wake();
}

void ServicePublisher::network_changed() {
    if (error_.empty()) return;
    backoff_.reset();
    put_soon();
}

std::optional<SourceUpdate> ServicePublisher::saw(const OwnSight& own) {
    if (!own.known) return std::nullopt;
    if (!own.envelope) {
        if (envelope_) put_soon();
        return std::nullopt;
    }
    const auto sequence = own.envelope->sequence;
    if (!envelope_) return tell(sequence, true);
    const bool same = sequence == envelope_->sequence && own.envelope->signature == envelope_->signature;
    if (sequence < envelope_->sequence || (same && !error_.empty())) put_soon();
    if (same || sequence < envelope_->sequence) return std::nullopt;
    superseded_ = true;
    return tell(sequence, true);
}

std::optional<SourceUpdate> ServicePublisher::tell(std::uint64_t sequence, bool signed_by_us) {
    if (sequence <= told_) return std::nullopt;
    told_ = sequence;
    if (contest_over()) {
        contests_ = copies_ = 0;
        contest_backoff_.reset();
    }
    ++contests_;
    if (signed_by_us) ++copies_;
    contested_ = context_.clock->now();
    SourceUpdate update;
    update.kind = SourceUpdate::Kind::own_sequence;
    update.source = source_;
    update.identity = context_.sealer->identity();
    update.sequence = sequence;
    return update;
}

bool ServicePublisher::contest_over() const { return context_.clock->now() - contested_ > 2 * slow_; }

Task<void> ServicePublisher::put_once(const std::function<void(SourceUpdate)>& emit) {
    const Envelope envelope = *envelope_;
    last_put_ = context_.clock->now();
    auto response = co_await send("PUT", envelope);
    if (stopped_ || !envelope_) co_return;
    // A record queued meanwhile is the one that counts, whatever became of this.
    const bool current = *envelope_ == envelope;
    std::optional<SourceUpdate> news;
    auto stored =
        response ? judge_answer(*response, envelope.sequence, news) : Result<>(Failure(response.error()));
    if (stored) {
        backoff_.reset();
        if (current) superseded_ = false;
        const bool copied = copies_ >= kCopied && !contest_over();
        set_error(copied ? "another node publishes with this node's identity: was its state directory "
                           "copied from here? Give it one of its own"
                         : "");
        next_ = context_.clock->now() + refresh_;
    } else {
        set_error(stored.error().wrap("publish our record").message());
        next_ = context_.clock->now() + (current && superseded_ ? slow_ : backoff_.next());
    }
    if (news) emit(std::move(*news));
}

Result<> ServicePublisher::judge_answer(const HttpResponse& response, std::uint64_t sequence,
                                        std::optional<SourceUpdate>& news) {
    if (response.status >= 200 && response.status < 300) {
        if (auto answer = parse_put_answer(response.body); !answer)
            return fail_with(answer, "the service's answer");
        return {};
    }
    if (response.status == 403)
        return fail(
            ErrorKind::permission,
            "another cluster's member key is pinned at the service for this discovery ID, or the service "
            "refuses us; give every node the same token, or this cluster another discovery ID (" +
                http_error(response).message() + ")");
    if (response.status != 409) return Failure(http_error(response));
    auto stored = parse_conflict(response.body);
    if (!stored) return fail_with(stored, "the service's answer 409");
    if (*stored < sequence || *stored - sequence > kMaxJump)
        return fail(
            ErrorKind::protocol,
            fmt::format("the service says that it holds sequence {} of us, which can't follow from {}",
                        *stored, sequence));
    if (envelope_ && envelope_->sequence <= *stored) superseded_ = true;
    news = tell(*stored, false);
    return fail(ErrorKind::conflict,
                fmt::format("the service holds sequence {} of us, ours is {}", *stored, sequence));
}

Task<Result<HttpResponse>> ServicePublisher::send(const char* method, const Envelope& envelope) {
    HttpRequest request;
    request.method = method;
    request.target = node_path(context_.keys->cluster(), context_.sealer->identity());
    request.headers["content-type"] = "application/json";
    request.body = envelope_json(envelope);
    co_return co_await client_->request(std::move(request));
}

Task<Result<>> ServicePublisher::withdraw(std::uint64_t sequence, Milliseconds limit) {
    envelope_.reset();
    set_error({});
    auto tombstone = context_.sealer->tombstone(sequence, context_.clock->unix_now());
    auto done = co_await (withdraw_loop(std::move(tombstone)) || sleep_for(limit));
    if (done.index() == 0) co_return std::get<0>(std::move(done));
    co_return fail(ErrorKind::timeout, source_ + ": withdraw our record: no answer in time");
}

Task<Result<>> ServicePublisher::withdraw_loop(Envelope tombstone) {
    Backoff backoff(Milliseconds{200}, Milliseconds{2000}, context_.random);
    for (;;) {
        auto response = co_await send("DELETE", tombstone);
        const unsigned status = response ? response->status : 0;
        if ((status >= 200 && status < 300) || status == 404) co_return Result<>{};
        if (status >= 400 && status < 500 && status != 429) {
            auto error = http_error(*response);
            co_return Failure(Error(status == 409 ? ErrorKind::conflict : error.kind(), error.message())
                                  .wrap(source_ + ": withdraw"));
        }
        co_await sleep_for(backoff.next());
    }
}

Task<void> ServicePublisher::wait() {
    if (envelope_)
        timer_.expires_after(std::max(next_ - context_.clock->now(), SteadyTime::duration::zero()));
    else
        timer_.expires_at(SteadyTime::max());
    boost::system::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

void ServicePublisher::wake() {
    wake_ = true;
    timer_.cancel();
}

// What the service says of us must not make us flood it.
void ServicePublisher::put_soon() {
    next_ = std::min(next_, std::max(context_.clock->now(), last_put_ + kMinPutInterval));
    timer_.cancel();
}

void ServicePublisher::set_error(std::string text) {
    if (text == error_) return;
    if (!text.empty())
        spdlog::warn("{}: {}", source_, text);
    else if (!error_.empty())
        spdlog::info("{}: our record is published again", source_);
    error_ = std::move(text);
}

}  // namespace wglan
