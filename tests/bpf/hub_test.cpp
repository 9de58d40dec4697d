// SPDX-License-Identifier: Apache-2.0
// From one peer to another. At wglan0's ingress BPF_PROG_TEST_RUN takes the first 14 bytes for a MAC header
// (see tunnel_test.cpp), hence the sender's prefixes 8.0.0.0/16 and 2001:db8::/32.
#include "agent/dataplane/hub.h"

#include <cstdlib>

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

}  // namespace wglan::test
