// SPDX-License-Identifier: Apache-2.0
// From one peer to another. At wglan0's ingress BPF_PROG_TEST_RUN takes the first 14 bytes for a MAC header
// (see tunnel_test.cpp), hence the sender's prefixes 8.0.0.0/16 and 2001:db8::/32.
#include "agent/dataplane/hub.h"

#include <algorithm>
#include <cstdlib>
#include <random>

#include "maps/convert.h"
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

constexpr PeerId kOther = 9;
constexpr const char* kFrom[] = {"8.0.0.1", "2001:db8:86dd::1"};
constexpr const char* kTo[] = {"10.9.1.1", "fd09::1"};

Ip between(int family, Bytes transport = udp(1000, 2000), std::uint8_t protocol = 17) {
    return {.source = kFrom[family],
            .destination = kTo[family],
            .protocol = protocol,
            .transport = std::move(transport)};
}

Ip hop(Ip packet) {
    --packet.ttl;
    return packet;
}

class Hub : public Steer {
protected:
    void SetUp() override {
        Steer::SetUp();
        if (HasFatalFailure()) return;
        auto hub = HubObject::load([this](const char* name) { return object().map_fd(name); });
        if (!hub) GTEST_SKIP() << hub.error().message();
        hub_ = std::move(*hub);
        other(PeerState::up);
        ASSERT_TRUE(object().tables().peer_stats.ensure(kOther));
        route("10.9.0.0/16", SteerAction::steer, kOther);
        route("fd09::/32", SteerAction::steer, kOther);
    }
    void TearDown() override {
        hub_.reset();
        Steer::TearDown();
    }
    void other(PeerState state, Fallback down = Fallback::drop) {
        const SteerPeer peer{kOther, {}, state, Fallback::bypass, down, "other"};
        ASSERT_TRUE(object().tables().peers.put(kOther, encode_peer(peer)));
        mark_up(kOther, state == PeerState::up || state == PeerState::degraded);
        cache(true);
    }
    How at_ingress() const { return {.fd = hub_->program().fd, .ifindex = tunnel().ifindex()}; }
    void expect_sent_on(const Ip& packet) {
        const auto before = counters().forwarded;
        expect_becomes(packet.bytes(), kRedirect, hop(packet).bytes(), at_ingress());
        EXPECT_EQ(counters().forwarded, before + 1);
    }
    void expect_stack(const Ip& packet) {
        const auto before = counters().forwarded;
        expect_untouched(packet.bytes(), kNext, at_ingress());
        EXPECT_EQ(counters().forwarded, before);
    }

private:
    std::optional<HubObject> hub_;
};

}  // namespace

TEST_F(Hub, SendsOnFromPeerToPeer) {
    for (const int family : {0, 1}) {
        expect_sent_on(between(family));
        expect_sent_on(between(family, tcp(TcpFlags::ack, {}), 6));
        expect_sent_on(between(family, tcp(TcpFlags::syn, {}), 6));
    }
    EXPECT_EQ(peer_counters().rx_packets, 6U);
    EXPECT_EQ(counters().steered4, 3U);
    EXPECT_EQ(counters().steered6, 3U);
}

TEST_F(Hub, LeavesToTheStackWhatIsForThisHostOrNobody) {
    expect_stack({.source = kFrom[0], .destination = "172.16.0.1", .transport = udp(1, 2)});
    expect_stack({.source = kFrom[1], .destination = "2001:4860::1", .transport = udp(1, 2)});
}

TEST_F(Hub, LeavesToTheStackWhatGoesBackToItsPeer) {
    expect_stack({.source = kFrom[0], .destination = "8.0.7.7", .transport = udp(1, 2)});
    expect_stack({.source = kFrom[0], .destination = "10.1.2.3", .transport = udp(1, 2)});
}

TEST_F(Hub, LeavesStrangersToTheStack) {
    route("8.0.0.0/16", SteerAction::pass);
    route("2001:db8::/32", SteerAction::drop);
    expect_stack(between(0));
    expect_stack(between(1));
}

TEST_F(Hub, LeavesToTheStackWhatOnlyItCanJudge) {
    for (const int family : {0, 1}) {
        Ip last = between(family);
        last.ttl = 1;
        expect_stack(last);  // the stack answers: this hop shows in a traceroute
        expect_stack(between(family, Bytes(20), 132));
    }
    Ip fragment = between(0);
    fragment.fragment = 0x2000;
    expect_stack(fragment);
    auto settings = usual_config();
    settings.orphan_after_s = 1;
    config(settings, 1);
    expect_stack(between(0));
}

TEST_F(Hub, AsksForTheStateOfThePeerThatItIsFor) {
    other(PeerState::down);
    for (const int family : {0, 1}) expect_untouched(between(family).bytes(), kDrop, at_ingress());
    EXPECT_EQ(counters().dropped.at("peer_down"), 2U);
    other(PeerState::down, Fallback::bypass);
    expect_stack(between(0));
    other(PeerState::degraded);
    expect_sent_on(between(0));
}

TEST_F(Hub, AnswersWhatIsTooBigForTheOtherPeer) {
    route("10.9.0.0/16", SteerAction::steer, kOther, 1280);
    route("fd09::/32", SteerAction::steer, kOther, 1280);
    for (const int family : {0, 1}) {
        Ip packet = between(family, udp(1, 2, filler(1300)));
        const auto outcome = run(packet.bytes(), at_ingress());
        EXPECT_EQ(outcome.verdict, kRedirect);
        EXPECT_LT(outcome.packet.size(), 200U);
    }
    EXPECT_EQ(counters().packet_too_big, 2U);
    EXPECT_EQ(counters().forwarded, 0U);
}

TEST_F(Hub, DropsTunnelInTunnel) {
    expect_untouched(between(0, udp(1, kPort)).bytes(), kDrop, at_ingress());
    EXPECT_EQ(counters().dropped.at("tunnel_in_tunnel"), 1U);
}

// Any bytes: a verdict that exists, nobody sent on who isn't between two peers, nothing altered that isn't a
// SYN.
TEST_F(Hub, HoldsForAnyBytes) {
    std::mt19937 random(20261121);  // fixed: a failure can be seen again
    const auto pick = [&](std::size_t most) {
        return std::uniform_int_distribution<std::size_t>(0, most)(random);
    };
    const auto is_peers = [](const Bytes& b, std::size_t at4, std::size_t at6, std::uint8_t net4,
                             std::uint8_t net6) {
        if (b.size() >= 20 && b[0] >> 4U == 4)
            return b[at4] == (net4 == 8 ? 8 : 10) && b[at4 + 1] == (net4 == 8 ? 0 : net4);
        return b.size() >= 40 && (net6 == 0 ? b[at6] == 0x20 : b[at6] == 0xfd && b[at6 + 1] == net6);
    };
    std::vector<Bytes> seeds;
    for (const int family : {0, 1}) {
        seeds.push_back(between(family).bytes());
        seeds.push_back(between(family, tcp(TcpFlags::ack, {}, filler(100)), 6).bytes());
        seeds.push_back(between(family, icmp(family == 0 ? 8 : 128), family == 0 ? 1 : 58).bytes());
        seeds.push_back(between(family,
                                icmp(family == 0 ? 3 : 1, 0, Bytes{0, 0, 0, 0} + between(family).bytes()),
                                family == 0 ? 1 : 58)
                            .bytes());
    }
    int sent_on = 0;
    for (int i = 0; i < 20000; ++i) {
        Bytes packet = seeds[static_cast<std::size_t>(i) % seeds.size()];
        for (std::size_t changes = pick(3); changes > 0; --changes)
            packet[pick(packet.size() - 1)] = static_cast<std::uint8_t>(pick(255));
        if (pick(8) == 0) packet.resize(std::max<std::size_t>(15, pick(packet.size())));
        const auto outcome = try_run(packet, at_ingress());
        if (!outcome) continue;  // too short for this kernel's test runs
        ASSERT_TRUE(outcome->verdict == kNext || outcome->verdict == kDrop || outcome->verdict == kRedirect)
            << hex(packet) << " -> " << outcome->verdict;
        if (outcome->verdict == kNext) {
            ASSERT_EQ(hex(outcome->packet), hex(packet));
        }
        if (outcome->verdict == kRedirect) {
            ++sent_on;
            ASSERT_TRUE(is_peers(packet, 12, 8, 8, 0) || is_peers(packet, 12, 8, 1, 1)) << hex(packet);
            ASSERT_TRUE(is_peers(packet, 16, 24, 9, 9) || is_peers(packet, 16, 24, 8, 0) ||
                        is_peers(packet, 16, 24, 1, 1))
                << hex(packet);
        }
    }
    EXPECT_GT(sent_on, 1000);
}

}  // namespace wglan::test
