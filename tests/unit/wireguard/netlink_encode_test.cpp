// SPDX-License-Identifier: Apache-2.0
#include <linux/genetlink.h>
#include <linux/wireguard.h>

#include <cerrno>

#include <gmock/gmock.h>
#include <libmnl/libmnl.h>

#include "agent/wireguard/netlink_codec.h"
#include "tests/unit/wireguard/fake_device.h"

namespace wglan {
namespace {

using test::FakeDevice;
using test::FakeSecrets;
using test::key_of;
using test::prefix_of;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;

constexpr std::uint16_t kFamily = 0x1c;

NetlinkTarget target(std::size_t most = 16384) { return {kFamily, "wg7", most}; }
RemovalMode by_flag() { return {true, {}}; }
RemovalMode by_peer() { return {false, key_of(0xdead)}; }

WgPeerChange add(std::uint32_t number, std::vector<Prefix> allowed_ips) {
    WgPeerChange change;
    change.kind = WgPeerChange::Kind::add;
    change.key = key_of(number);
    change.endpoint = number % 2 == 0 ? Endpoint::parse("192.0.2.7:51820").value()
                                      : Endpoint::parse("[2001:db8::7]:51821").value();
    change.keepalive_s = 25;
    change.set_preshared = true;
    change.add_allowed_ips = std::move(allowed_ips);
    return change;
}

WgPeerChange change_of(WgPeerChange::Kind kind, std::uint32_t number) {
    WgPeerChange change;
    change.kind = kind;
    change.key = key_of(number);
    return change;
}

std::vector<Prefix> prefixes(std::uint32_t number, std::size_t count) {
    std::vector<Prefix> result;
    for (std::size_t i = 0; i < count; ++i) {
        const auto high = static_cast<std::uint8_t>(number >> 8);
        const auto low = static_cast<std::uint8_t>(number);
        const auto index = static_cast<std::uint8_t>(i);
        if (i % 2 == 0)
            result.push_back(Prefix::host(IpAddress::v4({10, high, low, index})));
        else
            result.push_back(Prefix::make(IpAddress::v6({0xfd, 0, high, low, 0, index}), 48).value());
    }
    return result;
}

std::vector<NetlinkMessage> encode(std::span<const WgPeerChange> changes, const RemovalMode& mode,
                                   std::size_t most = 16384) {
    auto messages = encode_peer_changes(target(most), changes, FakeSecrets{}, mode);
    EXPECT_TRUE(messages) << messages.error().message();
    return messages ? std::move(*messages) : std::vector<NetlinkMessage>{};
}

void apply_all(FakeDevice& device, std::span<const WgPeerChange> changes, const RemovalMode& mode,
               std::size_t most = 16384) {
    for (const auto& message : encode(changes, mode, most)) {
        EXPECT_THAT(message.bytes.size(), Le(most));
        EXPECT_EQ(device.apply(message.bytes.bytes()), 0);
    }
}

// Written down by hand from linux/wireguard.h and netlink(7); little-endian machines only.
TEST(NetlinkEncode, WritesOnePeerByteForByte) {
    WgPeerChange change = change_of(WgPeerChange::Kind::update, 0x01020304);
    change.endpoint = Endpoint::parse("192.0.2.7:51820").value();
    change.add_allowed_ips = {prefix_of("10.1.0.0/16")};
    const auto messages = encode({&change, 1}, by_flag());
    ASSERT_THAT(messages, SizeIs(1));
    const std::string golden =
        "84000000"
        "1c00"
        "0500"
        "00000000"
        "00000000"  // nlmsghdr, 132 bytes
        "01"
        "01"
        "0000"  // WG_CMD_SET_DEVICE, version 1
        "0800"
        "0200"
        "77673700"  // IFNAME wg7
        "6800"
        "0880"  // PEERS
        "6400"
        "0080"  // a peer
        "2400"
        "0100"
        "11111111111111111111111111111111111111111111111111111111"
        "01020304"
        "0800"
        "0300"
        "04000000"  // FLAGS update only
        "1400"
        "0400"
        "0200"
        "ca6c"
        "c0000207"
        "0000000000000000"  // ENDPOINT
        "2000"
        "0980"
        "1c00"
        "0080"  // ALLOWEDIPS, one
        "0600"
        "0100"
        "02000000"
        "0800"
        "0200"
        "0a010000"
        "0500"
        "0300"
        "10000000";
    EXPECT_EQ(hex_encode(messages.front().bytes.bytes()), golden);
    EXPECT_EQ(messages.front().first, 0U);
    EXPECT_EQ(messages.front().last, 1U);
}

TEST(NetlinkEncode, WritesTheDeviceByteForByte) {
    WgDeviceChange change;
    change.set_private_key = true;
    change.listen_port = 51820;
    change.firewall_mark = 0x10;
    const auto message = encode_device_change(target(), change, FakeSecrets{});
    std::string key;
    for (int i = 0; i < 32; ++i) key += "42";
    EXPECT_EQ(hex_encode(message.bytes.bytes()),
              "50000000"
              "1c00"
              "0500"
              "00000000"
              "00000000"
              "01"
              "01"
              "0000"
              "0800"
              "0200"
              "77673700"
              "2400"
              "0300" +
                  key +
                  "0600"
                  "0600"
                  "6cca0000"
                  "0800"
                  "0700"
                  "10000000");
}

TEST(NetlinkEncode, AddsPeersWithAllTheyHave) {
    const std::vector<WgPeerChange> changes = {add(1, prefixes(1, 3)), add(2, prefixes(2, 0))};
    FakeDevice device;
    apply_all(device, changes, by_flag());
    EXPECT_EQ(device.interface, "wg7");
    ASSERT_THAT(device.peers, SizeIs(2));
    EXPECT_EQ(device.peers[key_of(1)].endpoint->to_string(), "[2001:db8::7]:51821");
    EXPECT_EQ(device.peers[key_of(2)].endpoint->to_string(), "192.0.2.7:51820");
    EXPECT_EQ(device.peers[key_of(1)].keepalive_s, 25);
    EXPECT_EQ(device.peers[key_of(1)].preshared->front(), 1);
    EXPECT_THAT(device.allowed_ips, SizeIs(3));
}

TEST(NetlinkEncode, ClearsAPresharedKeyWithZeros) {
    FakeSecrets secrets;
    secrets.without.insert(key_of(1));
    WgPeerChange change = change_of(WgPeerChange::Kind::update, 1);
    change.set_preshared = true;
    FakeDevice device;
    device.peers[key_of(1)].preshared.emplace().fill(9);
    const auto messages = encode_peer_changes(target(), {&change, 1}, secrets, by_flag());
    ASSERT_TRUE(messages);
    EXPECT_EQ(device.apply(messages->front().bytes.bytes()), 0);
    EXPECT_EQ(device.peers[key_of(1)].preshared, (std::array<std::uint8_t, 32>{}));
}

TEST(NetlinkEncode, NamesThePeerWhoseSecretCannotBeHad) {
    FakeSecrets secrets;
    secrets.failing.insert(key_of(5));
    const auto change = add(5, {});
    const auto messages = encode_peer_changes(target(), {&change, 1}, secrets, by_flag());
    ASSERT_FALSE(messages);
    EXPECT_EQ(messages.error().kind(), ErrorKind::permission);
    EXPECT_THAT(messages.error().message(), testing::HasSubstr(to_string(key_of(5))));
}

// Every message size from the smallest on: whatever stands at a boundary, the outcome is the same.
TEST(NetlinkEncode, SplitsAtEveryMessageSize) {
    const std::vector<WgPeerChange> changes = {add(1, prefixes(1, 9)), add(2, {}), add(3, prefixes(3, 40)),
                                               change_of(WgPeerChange::Kind::remove, 9)};
    FakeDevice whole;
    apply_all(whole, changes, by_flag());
    ASSERT_THAT(whole.allowed_ips, SizeIs(49));
    for (std::size_t most = kMinNetlinkMessage; most < 2400; ++most) {
        SCOPED_TRACE(most);
        FakeDevice device;
        apply_all(device, changes, by_flag(), most);
        ASSERT_EQ(device.peers, whole.peers);
        ASSERT_EQ(device.allowed_ips, whole.allowed_ips);
        ASSERT_THAT(device.peers_made, ElementsAre(key_of(1), key_of(2), key_of(3)));
    }
}

TEST(NetlinkEncode, CarriesAThousandPeersInFewFullMessages) {
    std::vector<WgPeerChange> changes;
    for (std::uint32_t i = 0; i < 1000; ++i) changes.push_back(add(i, prefixes(i, 2)));
    const auto messages = encode(changes, by_flag());
    std::size_t total = 0;
    std::size_t next = 0;
    FakeDevice device;
    for (const auto& message : messages) {
        ASSERT_THAT(message.bytes.size(), Le(16384U));
        EXPECT_TRUE(message.first == next || message.first + 1 == next) << message.first << " after " << next;
        next = message.last;
        total += message.bytes.size();
        ASSERT_EQ(device.apply(message.bytes.bytes()), 0);
    }
    EXPECT_EQ(next, 1000U);
    EXPECT_THAT(messages.size(), Le(total / 16000 + 1));
    EXPECT_THAT(device.peers, SizeIs(1000));
    EXPECT_THAT(device.allowed_ips, SizeIs(2000));
}

TEST(NetlinkEncode, SpreadsOnePeersAllowedIpsOverMessages) {
    const auto change = add(7, [] {
        std::vector<Prefix> all;
        for (std::uint32_t i = 0; i < 20; ++i) {
            const auto more = prefixes(i, 200);
            all.insert(all.end(), more.begin(), more.end());
        }
        return all;
    }());
    const auto messages = encode({&change, 1}, by_flag());
    EXPECT_GT(messages.size(), 5U);
    FakeDevice device;
    for (const auto& message : messages) {
        EXPECT_EQ(message.first, 0U);
        EXPECT_EQ(message.last, 1U);
        EXPECT_EQ(device.apply(message.bytes.bytes()), 0);
    }
    EXPECT_THAT(device.allowed_ips, SizeIs(4000));
    EXPECT_EQ(device.peers[key_of(7)].keepalive_s, 25);
}

// Were the peer removed by somebody else half way, the rest must not bring back a bare one.
TEST(NetlinkEncode, ContinuesOnlyAPeerThatIsThere) {
    const auto change = add(7, prefixes(7, 40));
    const auto messages = encode({&change, 1}, by_flag(), kMinNetlinkMessage);
    ASSERT_GT(messages.size(), 2U);
    FakeDevice device;
    for (const auto& message : messages) {
        device.peers.clear();
        EXPECT_EQ(device.apply(message.bytes.bytes()), 0);
    }
    EXPECT_THAT(device.peers_made, ElementsAre(key_of(7)));
    EXPECT_THAT(device.peers, IsEmpty());
}

TEST(NetlinkEncode, UpdatesAndRemovalsMakeNoPeer) {
    WgPeerChange update = change_of(WgPeerChange::Kind::update, 1);
    update.keepalive_s = 5;
    update.add_allowed_ips = {prefix_of("10.0.0.0/8")};
    const std::vector<WgPeerChange> changes = {update, change_of(WgPeerChange::Kind::remove, 2)};
    FakeDevice device;
    apply_all(device, changes, by_flag());
    EXPECT_THAT(device.peers_made, IsEmpty());
    EXPECT_THAT(device.allowed_ips, IsEmpty());
}

struct Removal : testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(NetlinkEncode, Removal, testing::Bool(),
                         [](const auto& param) { return param.param ? "ByFlag" : "ByThrowAwayPeer"; });

TEST_P(Removal, TakesThePrefixAloneAndLeavesNoPeerBehind) {
    const RemovalMode mode = GetParam() ? by_flag() : by_peer();
    FakeDevice device;
    device.knows_removal = GetParam();
    apply_all(device, std::vector{add(1, prefixes(1, 40)), add(2, prefixes(2, 4))}, mode);
    WgPeerChange first = change_of(WgPeerChange::Kind::update, 1);
    const auto all = prefixes(1, 40);
    first.remove_allowed_ips.assign(all.begin(), all.begin() + 30);
    WgPeerChange second = change_of(WgPeerChange::Kind::update, 2);
    second.add_allowed_ips = {all[0]};  // moves on from the throw-away peer
    apply_all(device, std::vector{first, second}, mode, kMinNetlinkMessage);
    EXPECT_THAT(device.allowed_ips, SizeIs(10 + 4 + 1));
    EXPECT_EQ(device.allowed_ips.at(all[0]), key_of(2));
    EXPECT_EQ(device.allowed_ips.at(all[39]), key_of(1));
    EXPECT_THAT(device.peers, SizeIs(2));
    EXPECT_THAT(device.peers_made, SizeIs(GetParam() ? 2 : 3));
}

TEST(NetlinkEncode, SendsNothingForAnEmptyUpdate) {
    const auto change = change_of(WgPeerChange::Kind::update, 1);
    EXPECT_THAT(encode({&change, 1}, by_flag()), IsEmpty());
    EXPECT_THAT(encode({}, by_flag()), IsEmpty());
}

TEST(NetlinkEncode, ProbeTellsKernelsApart) {
    FakeDevice device;
    device.allowed_ips[prefix_of("0.0.0.0/0")] = key_of(1);
    const auto probe = encode_removal_probe(target(), key_of(77));
    EXPECT_EQ(device.apply(probe.known.bytes.bytes()), 0);
    EXPECT_EQ(device.apply(probe.unknown.bytes.bytes()), EINVAL);
    EXPECT_EQ(device.apply(probe.cleanup.bytes.bytes()), 0);
    EXPECT_THAT(device.peers, IsEmpty());
    EXPECT_THAT(device.allowed_ips, SizeIs(1));

    FakeDevice old;
    old.knows_removal = false;
    EXPECT_EQ(old.apply(probe.known.bytes.bytes()), EINVAL);
    EXPECT_EQ(old.apply(probe.cleanup.bytes.bytes()), 0);
    EXPECT_THAT(old.peers, IsEmpty());
}

}  // namespace
}  // namespace wglan
