// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_reporter.h"

#include <sodium.h>

#include <algorithm>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/discovery/kubernetes/insistence.h"

namespace wglan {
namespace {

using nlohmann::json;

constexpr const char* kController = "wglan.dev/agent";
// Of an Event about something without a namespace.
constexpr const char* kEvents = "/apis/events.k8s.io/v1/namespaces/default/events";
constexpr Seconds kConditionInterval{10};
// The first refusal is tried again soon: an API server that has just started knows nobody's roles for a
// moment.
constexpr unsigned kRefusals = 2;
constexpr Seconds kRefusedPause{1800};  // after as many; rights may be given
constexpr std::size_t kMaxNote = 1024, kMaxInstance = 128, kMaxMessage = 1024;

// meta/v1's MicroTime.
std::string micro_time(UnixTime date) {
    auto text = rfc3339(std::max<UnixTime>(date, 1));
    text.pop_back();
    return text + ".000000Z";
}

// Never in the middle of a character: the API takes UTF-8 alone.
std::string cut(std::string text, std::size_t most) {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
    text.resize(most);
    return text;
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace

NodeReporter::NodeReporter(const SourceContext& context, const KubeTimes& times,
                           std::shared_ptr<const KubeApi> api, std::string source, std::string prefix,
                           std::string own_name)
    : context_(context),
      times_(times),
      api_(std::move(api)),
      source_(std::move(source)),
      prefix_(std::move(prefix)),
      own_name_(std::move(own_name)),
      backoff_(times.denied_first, times.denied_most, context_.random),
      timer_(*context_.io) {}

Task<void> NodeReporter::run() {
    while (!stopped_) {
        const SteadyTime now = context_.clock->now();
        if (condition_due() && now >= condition_.not_before)
            co_await patch_condition();
        else if (node_ && now >= events_.not_before && book_.next(now) != nullptr)
            co_await post_event();
        else
            co_await wait();
    }
}

void NodeReporter::stop() {
    stopped_ = true;
    timer_.cancel();
}

void NodeReporter::saw(const OwnNode& own) {
    if (!own.known) return;
    const bool another = own.node && (!node_ || node_->uid != own.node->uid);
    node_ = own.node;
    if (another && condition_.refused.empty()) condition_.not_before = {};
    timer_.cancel();
}

void NodeReporter::tell(const NodeCondition& condition) {
    wanted_ = condition;
    timer_.cancel();
}

void NodeReporter::tell(const NodeEvent& event) {
    if (events_.refusals >= kRefusals) return;
    book_.take(event, context_.clock->now(), context_.clock->unix_now());
    timer_.cancel();
}

std::vector<std::string> NodeReporter::notes() const {
    std::vector<std::string> notes;
    for (const Channel* channel : {&condition_, &events_})
        if (!channel->refused.empty()) notes.push_back(channel->refused);
    return notes;
}

bool NodeReporter::condition_due() const {
    if (!wanted_ || !node_) return false;
    const auto& there = node_->condition;
    return !there || there->status != (wanted_->ready ? "True" : "False") ||
           there->reason != wanted_->reason || there->message != cut(wanted_->message, kMaxMessage);
}

// Merged by `type`, so that the kubelet's and others' stay as they are. The times follow the API's
// conventions: that of the last transition is older than that of the last word where only the words changed.
json NodeReporter::condition_now() const {
    const std::string now = rfc3339(context_.clock->unix_now()), status = wanted_->ready ? "True" : "False";
    const auto& there = node_->condition;
    const bool same = there && there->status == status && !there->since.empty();
    json condition;
    condition["type"] = kReadyCondition;
    condition["status"] = status;
    condition["reason"] = wanted_->reason;
    condition["message"] = cut(wanted_->message, kMaxMessage);
    condition["lastHeartbeatTime"] = now;
    condition["lastTransitionTime"] = same ? there->since : now;
    json patch;
    patch["metadata"]["uid"] = node_->uid;
    patch["status"]["conditions"] = json::array({std::move(condition)});
    return patch;
}

std::string NodeReporter::status_target() const {
    return "/api/v1/nodes/" + percent_encode(own_name_) + "/status";
}

Task<void> NodeReporter::patch_condition() {
    const std::string uid = node_->uid;
    auto target = status_target(), patch = dump(condition_now());
    auto answer = co_await api_->strategic_patch(std::move(target), std::move(patch));
    if (stopped_) co_return;
    if (answer && is_another(answer->status, answer->body)) {
        // The watch may have told what is there now, or will.
        if (node_ && node_->uid == uid) condition_.not_before = context_.clock->now() + backoff_.next();
        co_return;
    }
    if (!went_well(condition_, answer)) co_return;
    condition_.not_before = context_.clock->now() + kConditionInterval;
    auto node = parse_node(answer->body, prefix_);
    if (node && node->condition) {
        if (node_ && node_->uid == node->uid && !is_later(node_->resource_version, node->resource_version))
            node_ = std::move(*node);
    } else  // An admission hook took it out; asking again and again would not help.
        condition_.not_before = context_.clock->now() + kRefusedPause;
}

json NodeReporter::event_object(const EventBook::Entry& entry, const std::string& name) const {
    json object;
    object["apiVersion"] = "events.k8s.io/v1";
    object["kind"] = "Event";
    object["metadata"] = {{"name", name}, {"namespace", "default"}};
    object["eventTime"] = micro_time(entry.first_at);
    object["reportingController"] = kController;
    object["reportingInstance"] = cut(own_name_, kMaxInstance);
    object["action"] = "Mesh";
    object["reason"] = entry.event.reason;
    object["note"] = cut(entry.event.note, kMaxNote);
    object["type"] = entry.event.warning ? "Warning" : "Normal";
    object["regarding"] = {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", own_name_}, {"uid", node_->uid}};
    return object;
}

// A DNS name of at most 253, unique without asking.
std::string NodeReporter::new_name() const {
    std::uint64_t number = 0;
    randombytes_buf(&number, sizeof(number));
    return cut(own_name_, 200) + fmt::format(".{:x}{:016x}", context_.clock->unix_now(), number);
}

Task<NodeReporter::Answer> NodeReporter::send_event(const EventBook::Entry& entry, const std::string& name) {
    if (entry.name.empty()) {
        std::string target = kEvents, body = dump(event_object(entry, name));
        co_return co_await api_->post(std::move(target), std::move(body));
    }
    json series;
    series["series"]["count"] = entry.seen;
    series["series"]["lastObservedTime"] = micro_time(entry.last_at);
    std::string target = std::string(kEvents) + "/" + percent_encode(name), body = dump(series);
    co_return co_await api_->merge_patch(std::move(target), std::move(body));
}

Task<void> NodeReporter::post_event() {
    const auto* next = book_.next(context_.clock->now());
    const EventBook::Entry entry = *next;
    const std::string name = entry.name.empty() ? new_name() : entry.name;
    auto answer = co_await send_event(entry, name);
    if (stopped_) co_return;
    const SteadyTime now = context_.clock->now();
    next = book_.find(entry);
    if (next == nullptr) co_return;
    // The API server drops Events after an hour.
    if (answer && answer->status == 404 && !entry.name.empty()) {
        book_.told(*next, "", 0, now);
        co_return;
    }
    // This one alone is wrong: the others needn't wait for it.
    if (answer && (answer->status == 400 || answer->status == 409 || answer->status == 422)) {
        spdlog::warn("{}: {}", source_, kube_error(answer->status, answer->body, "write an Event").message());
        book_.drop(*next);
        co_return;
    }
    if (went_well(events_, answer)) book_.told(*next, name, entry.name.empty() ? 1 : entry.seen, now);
}

bool NodeReporter::went_well(Channel& channel, const Answer& answer) {
    const SteadyTime now = context_.clock->now();
    if (answer && answer->status >= 200 && answer->status < 300) {
        channel.refused.clear();
        channel.refusals = 0;
        backoff_.reset();
        return true;
    }
    if (!answer) {
        channel.not_before = now + backoff_.next();
        return false;
    }
    if (answer->status == 401 || answer->status == 409 || answer->status == 429 || answer->status >= 500) {
        const auto asked = retry_after(*answer, times_.most_retry_after);
        channel.not_before =
            now + (asked ? std::max<Milliseconds>(*asked, backoff_.next()) : backoff_.next());
        return false;
    }
    // 403, a namespace or a version of the API that isn't there, or an admission policy.
    const bool again = ++channel.refusals < kRefusals;
    channel.not_before = now + (again ? backoff_.next() : kRefusedPause);
    const auto doing = fmt::format("write {}", channel.what);
    auto why = fmt::format("{} can't be written: {}", channel.what,
                           kube_error(answer->status, answer->body, doing.c_str()).message());
    if (channel.refused.empty()) spdlog::info("{}: {}; going on without", source_, why);
    channel.refused = std::move(why);
    if (&channel == &events_ && !again) book_.clear();
    return false;
}

// Who may not write it needn't take it away either.
Task<Result<bool>> NodeReporter::condition_stands(SteadyTime until) {
    std::string doing = "look for our condition on Node " + own_name_;
    AskApi look = [this] { return api_->get("/api/v1/nodes/" + percent_encode(own_name_)); };
    auto answer = co_await insist(context_, until, std::move(doing), std::move(look));
    if (!answer) co_return Failure(answer.error());
    if (answer->status >= 300) co_return false;
    auto node = parse_node(answer->body, prefix_);
    if (!node) co_return Failure(node.error());
    co_return node->condition.has_value();
}

Task<Result<>> NodeReporter::withdraw(SteadyTime until) {
    // A patch that is under way may put it there after a look.
    const bool told = wanted_.has_value() && condition_.refused.empty();
    wanted_.reset();
    if (!told) {
        auto there = co_await condition_stands(until);
        if (!there) co_return fail_with(there, source_);
        if (!*there) co_return Result<>{};
    }
    json condition, patch;
    condition["type"] = kReadyCondition;
    condition["$patch"] = "delete";
    patch["status"]["conditions"] = json::array({std::move(condition)});
    const std::string body = dump(patch);
    std::string doing = "remove our condition from Node " + own_name_;
    AskApi again = [this, &body] { return api_->strategic_patch(status_target(), body); };
    auto answer = co_await insist(context_, until, std::move(doing), std::move(again));
    if (!answer) co_return fail_with(answer, source_);
    co_return Result<>{};
}

Task<void> NodeReporter::wait() {
    SteadyTime when = SteadyTime::max();
    if (condition_due()) when = condition_.not_before;
    if (const auto due = book_.due(); due && node_) when = std::min(when, std::max(*due, events_.not_before));
    timer_.expires_at(when);
    boost::system::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace wglan
