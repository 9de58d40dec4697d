// SPDX-License-Identifier: Apache-2.0
// What the agent does by the clock: looking at WireGuard and at what no event tells of, and remembering.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/app/agent.h"

namespace wglan {
namespace {

constexpr Milliseconds kFirstPoll{50};  // right after a change: a handshake takes one round trip
constexpr Milliseconds kFrequentPoll{200};
constexpr Milliseconds kSearchingPoll{1000};
constexpr Milliseconds kSuspectingPoll{500};
constexpr Milliseconds kQuietPoll{5000};
constexpr Seconds kFirstFor{1};
constexpr Seconds kFrequentFor{3};
constexpr Milliseconds kQuickCheck{1500};
constexpr Milliseconds kGuardStarts{300};  // a predecessor's goes on; peers that wait for us come first
constexpr Seconds kDriftCheck{60};
constexpr std::size_t kEntriesLookedAt = 512;  // of each of the programs' tables, each quick check
constexpr Milliseconds kRememberAfter{100};

}  // namespace

// Called again when a search begins, which may bring the next look forward but never puts it off.
void Agent::poll_later() {
    const auto since = system_clock().now() - manager_.last_change();
    // Bytes received spare probes, if they are seen in time.
    const Milliseconds quiet = std::min(kQuietPoll, manager_.dump_interval());
    const Milliseconds delay = manager_.suspecting()   ? kSuspectingPoll
                               : !manager_.searching() ? quiet
                               : since < kFirstFor     ? kFirstPoll
                               : since < kFrequentFor  ? kFrequentPoll
                                                       : kSearchingPoll;
    const auto when = Timer::clock_type::now() + delay;
    if (poll_pending_ && poll_timer_.expiry() <= when) return;
    poll_timer_.expires_at(when);
    poll_pending_ = true;
    poll_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        poll_pending_ = false;
        poll();
        poll_later();
    });
}

// WireGuard tells nobody of handshakes: it has to be asked.
void Agent::poll() {
    auto device = wireguard_->dump();
    if (!device) {
        // Asked several times a second at times; the pass that is due tells what is wrong, once.
        spdlog::debug("WireGuard: {}", device.error().message());
        checking_drift_ = true;
        mark_dirty();
        return;
    }
    observe_device(std::move(*device));
    look_at_api_servers();
    if (!tick_peers()) return;
    merge_dirty_ = true;  // who is up decides who owns what
    mark_dirty();
}

// What no event tells of: programs detached, map entries deleted, settings of wglan0 changed. Cheap enough to
// look often.
void Agent::check_later() {
    check_timer_.expires_after(guard_.looked() ? kQuickCheck : kGuardStarts);
    check_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        (void)dataplane_->heartbeat();
        tell_condition();
        if (!guard_.looked() && first_reconcile_done_) keep_guard(true, false);
        for (const NextHop& hop : route_health_.failed())
            (void)netlink_->probe_neighbour(hop.ifindex, hop.address);
        if (observed_valid_ && !checking_drift_ && observed_.interface) {
            const int ifindex = observed_.interface->link.ifindex;
            const auto attachments = dataplane_->attachments();
            const auto filter = netlink_->rp_filter(ifindex);
            const auto forwards = netlink_->forwarding(ifindex, Family::v4);
            const auto held = dataplane_->holds(map_walk_.next(observed_, kEntriesLookedAt));
            if ((held && !*held) || (attachments && *attachments != observed_.attachments) ||
                (filter && *filter != observed_.interface->rp_filter) ||
                (forwards && *forwards != observed_.interface->forwarding4)) {
                checking_drift_ = true;
                mark_dirty();
            }
        }
        check_later();
    });
}

void Agent::drift_later() {
    drift_timer_.expires_after(kDriftCheck);
    drift_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        checking_drift_ = facts_dirty_ = true;
        look_at_routes_later();
        mark_dirty();
        drift_later();
    });
}

void Agent::every_minute() {
    minute_timer_.expires_after(Seconds(30));
    minute_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        names_.keep_only(names_in_use());
        names_.refresh(system_clock().now());
        // `issued` is renewed every 6 h; readers refuse what is older than a day.
        if (own_record_.issued != 0 && system_clock().unix_now() - own_record_.issued > 6 * 3600) {
            own_record_ = Record{};
            mark_dirty();
        }
        if (merged_.next_expiry && *merged_.next_expiry <= system_clock().now()) {
            merge_dirty_ = true;
            mark_dirty();
        }
        every_minute();
    });
}

// Devices, addresses and gateways: what is an uplink, what is published.
void Agent::look_at_host() {
    facts_dirty_ = true;
    debounce_.cancel();
    reconcile();
}

void Agent::look_for_drift() {
    checking_drift_ = all_dirty_ = true;
    debounce_.cancel();
    reconcile();
}

// The cache is written a little later in any case: a burst of changes is remembered once.
void Agent::remember_later() {
    if (remember_pending_ || stopped_) return;
    remember_pending_ = true;
    remember_timer_.expires_after(kRememberAfter);
    remember_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        remember_pending_ = false;
        remember();
    });
}

}  // namespace wglan
