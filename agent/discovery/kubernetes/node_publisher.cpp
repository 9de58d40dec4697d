// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_publisher.h"

#include <algorithm>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/discovery/source_tasks.h"

namespace wglan {

using namespace asio::experimental::awaitable_operators;

namespace {

// Somebody who removes them again and again must not make us flood the API server.
constexpr Milliseconds kMinInterval{1000};

bool holds(const KubeNode& node, const Annotations& wanted) {
    return std::ranges::all_of(wanted, [&](const auto& item) {
        const auto it = node.annotations.find(item.first);
        return it != node.annotations.end() && it->second == item.second;
    });
}

}  // namespace

NodePublisher::NodePublisher(const SourceContext& context, const KubeTimes& times,
                             std::shared_ptr<const KubeApi> api, std::shared_ptr<const Secret> seed,
                             std::string source, std::string prefix, std::string own_name)
    : context_(context),
      times_(times),
      api_(std::move(api)),
      seed_(std::move(seed)),
      source_(std::move(source)),
      prefix_(std::move(prefix)),
      own_name_(std::move(own_name)),
      backoff_(times.backoff_first, times.backoff_most, context_.random),
      denied_(times.denied_first, times.denied_most, context_.random),
      timer_(*context_.io) {}

Task<void> NodePublisher::run() {
    while (!stopped_) {
        if (due() && context_.clock->now() >= not_before_)
            co_await patch_once();
        else
            co_await wait();
    }
}

void NodePublisher::stop() {
    stopped_ = true;
    timer_.cancel();
}

bool NodePublisher::due() const {
    return record_ && node_ &&
           !holds(*node_, annotate(*context_.keys, seed_->bytes(), *record_, node_->name, node_->uid));
}

void NodePublisher::publish(OwnRecord own) {
    record_ = std::move(own.record);
    timer_.cancel();
}

std::optional<SourceUpdate> NodePublisher::saw(const OwnNode& own) {
    if (!own.known) return std::nullopt;
    const bool another = own.node && (!node_ || node_->uid != own.node->uid);
    node_ = own.node;
    if (another) {
        backoff_.reset();
        denied_.reset();
        not_before_ = last_patch_ + kMinInterval;
    }
    if (!node_) set_error(fmt::format("there is no Node {}: is node.name the Node's?", own_name_));
    timer_.cancel();
    return node_ ? tell_sequence(*node_) : std::nullopt;
}

std::optional<SourceUpdate> NodePublisher::tell_sequence(const KubeNode& node) {
    const auto there = read_annotations(*context_.keys, node);
    if (!there || there->identity != context_.sealer->identity()) return std::nullopt;
    if (there->sequence <= told_ || (record_ && there->sequence <= record_->sequence)) return std::nullopt;
    told_ = there->sequence;
    SourceUpdate update;
    update.kind = SourceUpdate::Kind::own_sequence;
    update.source = source_;
    update.identity = there->identity;
    update.sequence = there->sequence;
    return update;
}

std::string NodePublisher::target() const { return "/api/v1/nodes/" + percent_encode(own_name_); }

// The UID is a condition: the patch is refused where the Node is another one by now.
std::string NodePublisher::patch_with(nlohmann::json annotations) const {
    nlohmann::json patch;
    if (node_) patch["metadata"]["uid"] = node_->uid;
    patch["metadata"]["annotations"] = std::move(annotations);
    return patch.dump();
}

Task<void> NodePublisher::patch_once() {
    const auto wanted = annotate(*context_.keys, seed_->bytes(), *record_, node_->name, node_->uid);
    last_patch_ = context_.clock->now();
    not_before_ = last_patch_ + kMinInterval;
    auto annotations = nlohmann::json::object();
    for (const auto& [name, text] : wanted) annotations[prefix_ + "/" + name] = text;
    auto path = target(), patch = patch_with(std::move(annotations));
    auto response = co_await api_->merge_patch(std::move(path), std::move(patch));
    if (stopped_) co_return;
    std::string why;
    std::optional<Milliseconds> wait;
    if (!response) {
        why = response.error().wrap("patch our Node").message();
    } else if (response->status < 200 || response->status >= 300) {
        why = kube_error(response->status, response->body, "patch our Node").message();
        wait = retry_after(*response, times_.most_retry_after);
        // What is forbidden, or denied by a policy, is so for more than a moment: with all nodes at it a
        // short pause would be a storm.
        if (response->status == 403 || response->status == 422)
            wait = std::max<Milliseconds>(denied_.next(), wait.value_or(Milliseconds{0}));
        // The watch will show what is there now.
        if (response->status == 404 || response->status == 409) node_.reset();
    } else if (auto node = parse_node(response->body, prefix_); !node) {
        why = node.error().wrap("patch our Node: the answer").message();
    } else {
        node_ = std::move(*node);
        backoff_.reset();
        denied_.reset();
        set_error({});
        co_return;
    }
    set_error(std::move(why));
    not_before_ = context_.clock->now() + (wait ? *wait : backoff_.next());
}

Task<Result<>> NodePublisher::withdraw(Milliseconds limit) {
    record_.reset();
    set_error({});
    auto done = co_await (withdraw_loop() || sleep_for(limit));
    if (done.index() == 0) co_return std::get<0>(std::move(done));
    co_return fail(ErrorKind::timeout, source_ + ": remove our annotations: no answer in time");
}

Task<Result<>> NodePublisher::withdraw_loop() {
    auto none = nlohmann::json::object();
    for (const char* name : annotation_names()) none[prefix_ + "/" + name] = nullptr;
    Backoff backoff(Milliseconds{200}, Milliseconds{2000}, context_.random);
    for (;;) {
        auto path = target(), patch = patch_with(none);
        auto response = co_await api_->merge_patch(std::move(path), std::move(patch));
        const unsigned status = response ? response->status : 0;
        // Neither without a Node nor on another one is there anything of ours.
        if ((status >= 200 && status < 300) || status == 404 || status == 409) co_return Result<>{};
        if (status >= 400 && status < 500 && status != 429)
            co_return Failure(kube_error(status, response->body, "remove our annotations").wrap(source_));
        co_await sleep_for(backoff.next());
    }
}

Task<void> NodePublisher::wait() {
    if (due())
        timer_.expires_after(std::max(not_before_ - context_.clock->now(), SteadyTime::duration::zero()));
    else
        timer_.expires_at(SteadyTime::max());
    boost::system::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

void NodePublisher::set_error(std::string text) {
    if (text == error_) return;
    if (!text.empty())
        spdlog::warn("{}: {}", source_, text);
    else if (!error_.empty())
        spdlog::info("{}: our record is on our Node again", source_);
    error_ = std::move(text);
}

}  // namespace wglan
