// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/search.h"

#include <algorithm>
#include <cmath>

namespace wglan {
namespace {

constexpr int kRoamedBase = 35;  // it sent from there, which NATs allow to lead back
constexpr double kWorked = 45;
constexpr double kFruitless = 4;
constexpr double kWithdrawn = 60;
constexpr double kLoss = 15;
constexpr double kDecade = 3;          // a round trip ten times as long
constexpr std::uint64_t kSample = 16;  // probes, before a loss is taken for the path's ...
constexpr double kCommonLoss = 0.2;    // ... alone: a tenth each way is lost on all paths of a bad link
constexpr std::size_t kMostHistory = 128;

bool has(const std::vector<PeerCandidate>& list, const Endpoint& endpoint) {
    return std::any_of(list.begin(), list.end(),
                       [&](const PeerCandidate& candidate) { return candidate.endpoint == endpoint; });
}

}  // namespace

double score(const PeerCandidate& candidate, const CandidateHistory& history) {
    double value = candidate.base + candidate.bonus;
    if (history.worked) value += kWorked / (1 + history.fruitless);
    if (history.withdrawn) value -= kWithdrawn;
    value -= kFruitless * std::min(history.fruitless, 6U);
    value -= kLoss * history.path.loss();
    if (const auto rtt = history.path.rtt_ms()) value -= kDecade * std::log10(1 + *rtt);
    return value;
}

const CandidateHistory& Search::known(const Endpoint& endpoint) const {
    static const CandidateHistory nothing;
    const auto it = history_.find(endpoint);
    return it == history_.end() ? nothing : it->second;
}

bool Search::set_candidates(const std::vector<PeerCandidate>& candidates) {
    bool changed = candidates.size() != named_.size();
    for (const PeerCandidate& candidate : candidates)
        if (!has(named_, candidate.endpoint)) changed = true;
    // Only who named it before can have withdrawn it.
    if (changed)
        for (const PeerCandidate& before : named_) history_[before.endpoint].withdrawn = true;
    for (const PeerCandidate& candidate : candidates)
        if (const auto it = history_.find(candidate.endpoint); it != history_.end())
            it->second.withdrawn = false;
    named_ = candidates;
    if (!running_ || changed) order();
    return changed;
}

// Stable: equals stay in the order in which the registry named them.
void Search::order() {
    std::vector<PeerCandidate> all = named_;
    for (const auto& more : {last_good_, extra_})
        if (more && !has(all, *more)) all.push_back({*more, CandidateSource::roamed, kRoamedBase});
    std::stable_sort(all.begin(), all.end(), [&](const PeerCandidate& a, const PeerCandidate& b) {
        return score(a, known(a.endpoint)) > score(b, known(b.endpoint));
    });
    order_ = std::move(all);
    if (history_.size() <= kMostHistory) return;
    std::erase_if(history_, [&](const auto& item) { return !has(order_, item.first); });
}

void Search::start(const std::optional<Endpoint>& in_use, SteadyTime now) {
    extra_ = in_use && !known(*in_use).withdrawn ? in_use : std::nullopt;
    order();
    current_ = 0;
    // A successor finds an endpoint in place that nobody named: its packets came from there.
    if (!last_good_ && extra_ && !has(named_, *extra_)) {
        const auto at = std::find_if(order_.begin(), order_.end(),
                                     [&](const PeerCandidate& c) { return c.endpoint == *extra_; });
        std::rotate(order_.begin(), at, at + 1);
    }
    running_ = true;
    ++number_;
    since_ = now;
    pause_until_.reset();
    rounds_.reset();
}

bool Search::advance(SteadyTime now) {
    if (!running_ || order_.empty()) return false;
    if (pause_until_) {
        if (now < *pause_until_) return false;
        pause_until_.reset();
        order();
        ++number_;
        current_ = 0;
        since_ = now;
        return true;
    }
    current_ = std::min(current_, order_.size() - 1);
    if (now - since_ < times_.candidate_time) return false;
    CandidateHistory& tried = history_[order_[current_].endpoint];
    ++tried.fruitless;
    ++tried.tries;
    ++tries_;
    if (current_ + 1 < order_.size()) {
        ++current_;
        since_ = now;
    } else {
        pause_until_ = now + rounds_.next();
        ++rounds_done_;
    }
    return false;
}

bool Search::go_to(const Endpoint& endpoint, SteadyTime now) {
    const auto at = std::find_if(order_.begin(), order_.end(), [&](const PeerCandidate& candidate) {
        return candidate.endpoint == endpoint;
    });
    if (!running_ || pause_until_ || at == order_.end()) return false;
    const auto current = order_.begin() + static_cast<std::ptrdiff_t>(std::min(current_, order_.size() - 1));
    if (at > current)
        std::rotate(current, at, at + 1);
    else
        current_ = static_cast<std::size_t>(at - order_.begin());
    since_ = now;
    return true;
}

void Search::worked(const Endpoint& endpoint) {
    last_good_ = endpoint;
    CandidateHistory& history = history_[endpoint];
    history.worked = true;
    history.fruitless = 0;
}

// Remembered success is no merit here: the one in use has it too. What was never measured is taken to be as
// far away, and to lose nothing.
std::optional<Endpoint> Search::better_than(const Endpoint& in_use, bool same_family, SteadyTime now,
                                            const TrialTimes& times) const {
    const CandidateHistory& present = known(in_use);
    const auto measured = [](const CandidateHistory& history, double unknown_rtt) {
        const double lost = history.path.sent() < kSample ? 0 : history.path.loss() - kCommonLoss;
        return kLoss * std::max(lost, 0.0) +
               kDecade * std::log10(1 + history.path.rtt_ms().value_or(unknown_rtt));
    };
    const double rtt = present.path.rtt_ms().value_or(0);
    const auto named = std::find_if(named_.begin(), named_.end(),
                                    [&](const PeerCandidate& c) { return c.endpoint == in_use; });
    const double worth = (named == named_.end() ? kRoamedBase : named->base) - measured(present, rtt);
    const PeerCandidate* best = nullptr;
    double most = worth + times.margin;
    for (const PeerCandidate& candidate : named_) {
        const CandidateHistory& history = known(candidate.endpoint);
        if (candidate.endpoint == in_use || candidate.base <= 0 || now < history.trial_after ||
            (candidate.endpoint.address.is_v4() == in_use.address.is_v4()) != same_family)
            continue;
        const double value = candidate.base - measured(history, rtt);
        if (value < most || (best != nullptr && value == most)) continue;
        best = &candidate;
        most = value;
    }
    return best == nullptr ? std::nullopt : std::optional(best->endpoint);
}

void Search::trial_over(const Endpoint& endpoint, bool won, SteadyTime now, const TrialTimes& times) {
    CandidateHistory& history = history_[endpoint];
    history.trials = won ? 0 : history.trials + 1;
    const unsigned doublings = won ? 0 : std::min(history.trials - 1, 10U);
    history.trial_after = now + std::min(times.rest_first * (1 << doublings), times.rest_most);
}

void Search::forget_trials() {
    for (auto& [endpoint, history] : history_) {
        history.trials = 0;
        history.trial_after = {};
    }
}

std::vector<Endpoint> Search::others(const Endpoint& than) const {
    std::vector<Endpoint> others;
    for (const PeerCandidate& candidate : order_)
        if (candidate.endpoint != than && candidate.base > 0) others.push_back(candidate.endpoint);
    return others;
}

std::optional<Endpoint> Search::wanted() const {
    if (!running_ || order_.empty()) return std::nullopt;
    return order_[std::min(current_, order_.size() - 1)].endpoint;
}

std::optional<SteadyTime> Search::next_try() const {
    if (!running_ || order_.empty()) return std::nullopt;
    return pause_until_ ? *pause_until_ : since_ + times_.candidate_time;
}

std::vector<Endpoint> Search::clone_targets() const {
    std::vector<Endpoint> targets;
    const auto first = wanted();
    for (const PeerCandidate& candidate : order_)
        if (candidate.endpoint != first && targets.size() < kMaxCloneTargets)
            targets.push_back(candidate.endpoint);
    return running_ ? targets : std::vector<Endpoint>{};
}

std::vector<CandidateStatus> Search::describe(const std::optional<Endpoint>& in_use) const {
    std::vector<CandidateStatus> all;
    for (std::size_t i = 0; i < order_.size(); ++i) {
        const PeerCandidate& candidate = order_[i];
        const CandidateHistory& history = known(candidate.endpoint);
        CandidateStatus status{candidate.endpoint,        candidate.source,      "not tried",
                               score(candidate, history), history.path.rtt_ms(), std::nullopt};
        if (in_use == candidate.endpoint)
            status.result = candidate.source == CandidateSource::roamed ? "in use (roamed)" : "in use";
        else if (running_ && i == current_ && !pause_until_)
            status.result = "being tried";
        else if (history.fruitless > 0)
            status.result = "no answer (" + std::to_string(history.fruitless) +
                            (history.fruitless == 1 ? " try)" : " tries)");
        else if (history.trials > 0)
            status.result = "no better (" + std::to_string(history.trials) +
                            (history.trials == 1 ? " trial)" : " trials)");
        else if (history.worked)
            status.result = "worked before";
        if (running_) {
            // Those before the present one are next tried after the pause, of unknown length while it runs
            // on.
            if (pause_until_)
                status.next_try = *pause_until_ + times_.candidate_time * static_cast<int>(i);
            else if (i > current_)
                status.next_try = since_ + times_.candidate_time * static_cast<int>(i - current_);
        } else if (in_use && history.trials > 0 && in_use != candidate.endpoint) {
            status.next_try = history.trial_after;
        }
        all.push_back(std::move(status));
    }
    if (in_use && !has(order_, *in_use)) {
        const CandidateHistory& history = known(*in_use);
        const PeerCandidate roamed(*in_use, CandidateSource::roamed, kRoamedBase);
        all.insert(all.begin(), {*in_use, CandidateSource::roamed, "in use (roamed)", score(roamed, history),
                                 history.path.rtt_ms(), std::nullopt});
    }
    return all;
}

}  // namespace wglan
