// SPDX-License-Identifier: Apache-2.0
// Handshake initiations of peers that are looked for: to all their candidates, and once more where the first
// can't have reached them.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/app/agent.h"

namespace wglan {
namespace {

// A neighbour on the link is known by then; one that doesn't answer takes the kernel three seconds.
constexpr Milliseconds kNeighbourKnown{150};
// A response in the first family would have come, across the longest of usual ways.
constexpr Milliseconds kOtherFamily{600};
constexpr std::size_t kMostNeighbours = 256;  // asked for at a time: tables of neighbours are small

// The lists only make a search quicker: without one candidates are tried in turn.
class KernelClones final : public CloneTable {
public:
    KernelClones(Dataplane& dataplane, Netlink& netlink, std::uint32_t mark)
        : dataplane_(dataplane), netlink_(netlink), mark_(mark) {}
    void put(const CloneList& list) override {
        if (auto done = dataplane_.put_clones(list); !done)
            spdlog::debug("initiations to {} aren't cloned: {}", list.used.to_string(),
                          done.error().message());
    }
    void remove(const Endpoint& used) override { (void)dataplane_.remove_clones(used); }
    Result<Route> route_to(const IpAddress& address) override { return netlink_.route_to(address, mark_); }

private:
    Dataplane& dataplane_;
    Netlink& netlink_;
    std::uint32_t mark_;
};

}  // namespace

// Before the device learns of the endpoints: it initiates at once. `one`: that peer alone.
void Agent::clone_handshakes(const PublicKey* one) {
    if (!clones_) {
        const std::uint32_t mark = config_.interface.firewall_mark;
        clone_table_ = std::make_unique<KernelClones>(*dataplane_, *netlink_, mark);
        way_opener_ = std::make_unique<SocketWayOpener>(io_, mark, [this]() -> std::uint16_t {
            if (config_.interface.listen_port != 0) return config_.interface.listen_port;
            return observed_.wireguard ? observed_.wireguard->listen_port : std::uint16_t{0};
        });
        clones_.emplace(*clone_table_, *way_opener_);
    }
    if (one != nullptr)
        clones_->update(manager_, *one);
    else
        clones_->update_all(manager_);
    for (const Endpoint& place : manager_.take_new_places()) clones_->open_way(place);
    const SteadyTime now = system_clock().now();
    std::size_t asked = 0;
    for (const auto& incomplete : clones_->take_incomplete()) {
        for (const auto& [ifindex, address] : incomplete.neighbours)
            if (asked++ < kMostNeighbours) (void)netlink_->probe_neighbour(ifindex, address);
        const auto at = manager_.held_until(incomplete.key).value_or(now);
        if (incomplete.own_family) second_tries_.push_back({incomplete.key, false, at + kNeighbourKnown});
        if (incomplete.other_family) second_tries_.push_back({incomplete.key, true, at + kOtherFamily});
    }
    std::sort(second_tries_.begin(), second_tries_.end(),
              [](const SecondTry& a, const SecondTry& b) { return a.at < b.at; });
    try_again_later();
}

void Agent::try_again_later() {
    if (second_tries_.empty() || stopped_) return;
    const auto delay = std::max<SteadyTime::duration>(second_tries_.front().at - system_clock().now(),
                                                      SteadyTime::duration(0));
    second_try_timer_.expires_after(delay);
    second_try_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        const SteadyTime now = system_clock().now();
        const auto neighbours = netlink_->neighbours();
        // A gateway that nobody has asked for yet will be found.
        const auto leads = [&](int ifindex, const IpAddress& address, bool gateway) {
            if (!neighbours) return false;
            const auto one = std::find_if(neighbours->begin(), neighbours->end(), [&](const Neighbour& n) {
                return n.ifindex == ifindex && n.address == address;
            });
            return one == neighbours->end() ? gateway : one->valid || (gateway && !one->failed);
        };
        bool any = false;
        auto due = second_tries_.begin();
        for (; due != second_tries_.end() && due->at <= now; ++due)
            if (const auto at = clones_->carrier(manager_, due->key, due->other_family, leads))
                any = manager_.try_at_once(due->key, *at, now) || any;
        second_tries_.erase(second_tries_.begin(), due);
        if (any && tick_peers()) {
            merge_dirty_ = true;
            mark_dirty();
        }
        try_again_later();
    });
}

}  // namespace wglan
