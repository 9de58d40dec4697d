// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_publisher.h"

#include <algorithm>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/discovery/kubernetes/insistence.h"

namespace wglan {

namespace {

// Somebody who removes them again and again must not make us flood the API server.
constexpr Milliseconds kMinInterval{1000};
constexpr Milliseconds kHold{300};

bool holds(const KubeNode& node, const Annotations& wanted) {
    return std::ranges::all_of(wanted, [&](const auto& item) {
        const auto it = node.annotations.find(item.first);
        return it != node.annotations.end() && it->second == item.second;
    });
}

// Who spoke last on this Node, and with which sequence.
std::optional<Tombstone> last_word(const ClusterKeys& keys, const KubeNode& node) {
    if (is_withdrawal(node.annotations)) {
        auto withdrawn = read_withdrawal(keys, node);
        return withdrawn ? std::optional(*withdrawn) : std::nullopt;
    }
    const auto record = read_annotations(keys, node);
    if (!record) return std::nullopt;
    return Tombstone{record->identity, record->sequence, record->issued};
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
    if (std::exchange(held_, false)) not_before_ = last_patch_ + kMinInterval;
    timer_.cancel();
}

void NodePublisher::hold() {
    if (!record_) return;
    not_before_ = std::max(not_before_, context_.clock->now() + kHold);
    held_ = true;
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

// Of a record or a withdrawal alike.
std::optional<SourceUpdate> NodePublisher::tell_sequence(const KubeNode& node) {
    const auto there = last_word(*context_.keys, node);
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

bool NodePublisher::is_ours(const KubeNode& node) const {
    const auto there = last_word(*context_.keys, node);
    return there && there->identity == context_.sealer->identity();
}

std::string NodePublisher::target() const { return "/api/v1/nodes/" + percent_encode(own_name_); }

// The UID is a condition: the patch is refused where the Node is another one by now. `alone`: the others of
// ours go.
std::string NodePublisher::patch_with(const Annotations& annotations, bool alone) const {
    nlohmann::json patch;
    if (node_) patch["metadata"]["uid"] = node_->uid;
    auto& to = patch["metadata"]["annotations"] = nlohmann::json::object();
    if (alone)
        for (const char* name : annotation_names()) to[prefix_ + "/" + name] = nullptr;
    for (const auto& [name, text] : annotations) to[prefix_ + "/" + name] = text;
    return patch.dump();
}

// The answer to a patch and the watch race: what came later counts.
void NodePublisher::took(KubeNode node) {
    if (!node_ || node_->uid != node.uid || is_later(node_->resource_version, node.resource_version)) return;
    node_ = std::move(node);
}

Task<void> NodePublisher::patch_once() {
    const auto wanted = annotate(*context_.keys, seed_->bytes(), *record_, node_->name, node_->uid);
    last_patch_ = context_.clock->now();
    not_before_ = last_patch_ + kMinInterval;
    const std::string uid = node_->uid;
    auto path = target(), patch = patch_with(wanted, false);
    auto response = co_await api_->merge_patch(std::move(path), std::move(patch));
    if (stopped_) co_return;
    std::string why;
    std::optional<Milliseconds> wait;
    if (!response) {
        why = response.error().wrap("patch our Node").message();
    } else if (response->status < 200 || response->status >= 300) {
        why = kube_error(response->status, response->body, "patch our Node").message();
        wait = retry_after(*response, times_.most_retry_after);
        if (is_another(response->status, response->body)) {
            // The watch may have told what is there now, or will.
            if (!node_ || node_->uid != uid) co_return;
        } else if (response->status == 403 || response->status == 422) {
            // What is forbidden, or denied by a policy, is so for more than a moment: with all nodes at it a
            // short pause would be a storm.
            wait = std::max<Milliseconds>(denied_.next(), wait.value_or(Milliseconds{0}));
        }
    } else if (auto node = parse_node(response->body, prefix_); !node) {
        why = node.error().wrap("patch our Node: the answer").message();
    } else {
        took(std::move(*node));
        backoff_.reset();
        denied_.reset();
        set_error({});
        co_return;
    }
    set_error(std::move(why));
    // No shorter than between two that succeed, whatever the server asks for.
    const Milliseconds pause = std::max(wait.value_or(Milliseconds{0}), backoff_.next());
    not_before_ = std::max(not_before_, context_.clock->now() + pause);
}

// Absence alone lets the others wait for us, and must: it is no word of ours. The withdrawal is, and needs to
// stand there for no longer than it takes to be told.
Task<Result<>> NodePublisher::withdraw(std::uint64_t sequence, SteadyTime until) {
    record_.reset();
    set_error({});
    auto node = co_await insist_on("", until);
    if (!node) co_return Failure(node.error());
    if (!*node) co_return Result<>{};
    node_ = std::move(**node);
    if (is_ours(*node_)) {
        const Tombstone said{context_.sealer->identity(), sequence, context_.clock->unix_now()};
        auto patch =
            patch_with(withdrawal(*context_.keys, seed_->bytes(), said, node_->name, node_->uid), true);
        auto told = co_await insist_on(std::move(patch), until);
        if (!told) co_return Failure(told.error());
        if (!*told) co_return Result<>{};
    }
    auto patch = patch_with({}, true);
    auto gone = co_await insist_on(std::move(patch), until);
    if (!gone) co_return Failure(gone.error());
    co_return Result<>{};
}

Task<Result<HttpResponse>> NodePublisher::ask(std::string patch) {
    auto path = target();
    if (patch.empty()) co_return co_await api_->get(std::move(path));
    co_return co_await api_->merge_patch(std::move(path), std::move(patch));
}

// Patches our Node ("" = looks at it) until there is an answer: the Node as it is then, or none. On another
// one under the same name there is nothing of ours.
Task<Result<std::optional<KubeNode>>> NodePublisher::insist_on(std::string patch, SteadyTime until) {
    std::string doing = "take our record from Node " + own_name_;
    AskApi again = [this, &patch] { return ask(patch); };
    auto response = co_await insist(context_, until, std::move(doing), std::move(again));
    if (!response) co_return fail_with(response, source_);
    if (response->status >= 300) co_return std::optional<KubeNode>();
    auto node = parse_node(response->body, prefix_);
    if (!node) co_return fail_with(node, source_);
    co_return std::optional<KubeNode>(std::move(*node));
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
