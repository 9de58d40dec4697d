// SPDX-License-Identifier: Apache-2.0
// Where packets go besides the endpoint that WireGuard knows: the handshake initiations of peers that are
// looked for, and data of peers that may be lost or have a better path.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "agent/model/network.h"
#include "agent/model/steering.h"
#include "agent/peers/peer_manager.h"

namespace wglan {

// What it tells the kernel and asks it.
class CloneTable {
public:
    virtual ~CloneTable() = default;
    virtual void put(const CloneList& list) = 0;
    virtual void remove(const Endpoint& used) = 0;
    virtual Result<Route> route_to(const IpAddress& address) = 0;  // of outer packets
};

// What lets packets of a place through NATs before this host; `to` is IPv4.
class WayOpener {
public:
    virtual ~WayOpener() = default;
    virtual void open_way(const Endpoint& to) = 0;
};

class HandshakeClones {
public:
    HandshakeClones(CloneTable& table, WayOpener& opener) : table_(table), opener_(opener) {}

    // Brings one peer's list up to date: none once it is alive or gone.
    void update(const PeerManager& manager, const PublicKey& key);
    void update_all(const PeerManager& manager);
    // Packets may be sent there soon.
    void open_way(const Endpoint& to);
    // The ways to places may be others.
    void network_changed() { ways_.clear(); }

    // Peers whose first initiation may not reach all places, be it none at all: neither it nor a clone
    // leaves before the neighbour on its link is known, and clones don't change the family. Each once a
    // search, and once a round of it.
    struct Incomplete {
        PublicKey key;
        std::vector<std::pair<int, IpAddress>> neighbours;  // to be asked for, by ifindex
        bool own_family = false;                            // they hinder the first initiation
        bool other_family = false;                          // there are candidates of it
    };
    std::vector<Incomplete> take_incomplete() { return std::exchange(incomplete_, {}); }
    // The best candidate (of the other family) at which an initiation leaves this host.
    using Leads = std::function<bool(int ifindex, const IpAddress& neighbour, bool gateway)>;
    std::optional<Endpoint> carrier(const PeerManager& manager, const PublicKey& key, bool other_family,
                                    const Leads& leads);

private:
    struct Way {
        bool known = false;  // the host has one
        int ifindex = 0;
        std::optional<IpAddress> next_hop, source;
        bool operator==(const Way&) const = default;
    };
    Way way_to(const IpAddress& address);
    std::optional<CloneList> list_for(const Endpoint& used, const std::vector<Endpoint>& targets);
    void set(const PublicKey& key, const std::optional<CloneList>& wanted);
    void update_alive(const PeerManager& manager, const PublicKey& key);
    void note_begin(const PublicKey& key, std::uint64_t search, const std::optional<CloneList>& list,
                    const Endpoint& used, const std::vector<Endpoint>& targets);

    CloneTable& table_;
    WayOpener& opener_;
    std::map<IpAddress, Way> ways_;
    std::map<PublicKey, CloneList> lists_;
    std::map<PublicKey, std::uint64_t> begun_;  // the searches that were noted, by number
    std::vector<Incomplete> incomplete_;
};

}  // namespace wglan
