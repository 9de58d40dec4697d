// SPDX-License-Identifier: Apache-2.0
#include <linux/genetlink.h>
#include <linux/wireguard.h>

#include <cerrno>
#include <cstring>

#include <gmock/gmock.h>
#include <libmnl/libmnl.h>

#include "agent/wireguard/netlink_codec.h"
#include "tests/unit/wireguard/fake_device.h"

namespace wglan {
namespace {

using test::FakeDevice;
using test::key_of;
using test::prefix_of;
using testing::Each;
using testing::ElementsAre;
using testing::SizeIs;

constexpr std::uint32_t kSequence = 7;
using Datagram = std::vector<std::uint8_t>;

FakeDevice sample() {
    FakeDevice device;
    device.listen_port = 51820;
    device.firewall_mark = 0x10;
    device.private_key.emplace().fill(3);
    device.peers[key_of(1)].preshared.emplace().fill(9);
    device.peers[key_of(1)].keepalive_s = 25;
    device.peers[key_of(2)] = {};
    for (int i = 0; i < 100; ++i)
        device.allowed_ips[prefix_of("10.1." + std::to_string(i) + ".0/24")] = key_of(1);
    device.allowed_ips[prefix_of("fd00::2/128")] = key_of(2);
    return device;
}

Result<WgDevice> parse(const std::vector<Datagram>& dump) {
    NetlinkDump parser(kSequence);
    for (const auto& datagram : dump) {
        auto state = parser.feed(datagram);
        if (!state) return tl::make_unexpected(state.error());
        if (*state == ReplyState::done) break;
    }
    return parser.take();
}

TEST(NetlinkDump, ReadsADevice) {
    ASSERT_TRUE(init_crypto());
    const auto device = parse(sample().dump(kSequence, 16384));
    ASSERT_TRUE(device) << device.error().message();
    EXPECT_EQ(device->public_key, key_of(999));
    EXPECT_EQ(device->listen_port, 51820);
    EXPECT_EQ(device->firewall_mark, 0x10U);
    ASSERT_THAT(device->peers, SizeIs(2));
    const auto& first = device->peers[0];
    std::array<std::uint8_t, 32> preshared{};
    preshared.fill(9);
    EXPECT_EQ(first.peer.key, key_of(1));
    EXPECT_EQ(first.peer.preshared, fingerprint(preshared));
    EXPECT_EQ(first.peer.keepalive_s, 25);
    EXPECT_EQ(first.stats.last_handshake, 1700000000);
    EXPECT_EQ(first.stats.last_handshake_ns, 5U);
    EXPECT_EQ(first.stats.rx_bytes, 1ULL << 40);
    EXPECT_EQ(first.stats.tx_bytes, 7U);
    EXPECT_FALSE(first.peer.endpoint);
    EXPECT_TRUE(device->peers[1].peer.preshared.is_zero());
    EXPECT_THAT(device->peers[1].peer.allowed_ips, ElementsAre(prefix_of("fd00::2/128")));
}

TEST(NetlinkDump, MergesAPeerSplitOverMessages) {
    const auto whole = parse(sample().dump(kSequence, 1U << 20));
    ASSERT_TRUE(whole);
    for (std::size_t most = 400; most < 1200; most += 4) {
        const auto dump = sample().dump(kSequence, most);
        ASSERT_GT(dump.size(), 3U);
        const auto device = parse(dump);
        ASSERT_TRUE(device) << device.error().message();
        ASSERT_THAT(device->peers, SizeIs(2)) << most;
        for (std::size_t i = 0; i < 2; ++i) ASSERT_EQ(device->peers[i].peer, whole->peers[i].peer) << most;
        ASSERT_TRUE(std::is_sorted(device->peers[0].peer.allowed_ips.begin(),
                                   device->peers[0].peer.allowed_ips.end()));
    }
}

TEST(NetlinkDump, ReadsSeveralMessagesOfOneDatagram) {
    Datagram all;
    for (const auto& part : sample().dump(kSequence, 1000)) all.insert(all.end(), part.begin(), part.end());
    const auto device = parse({all});
    ASSERT_TRUE(device) << device.error().message();
    EXPECT_THAT(device->peers[0].peer.allowed_ips, SizeIs(100));
}

TEST(NetlinkDump, ReportsAnInterruptedDump) {
    auto dump = sample().dump(kSequence, 1000);
    reinterpret_cast<nlmsghdr*>(dump[1].data())->nlmsg_flags |= NLM_F_DUMP_INTR;
    const auto device = parse(dump);
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().kind(), ErrorKind::conflict);
}

TEST(NetlinkDump, DoesNotTakeAnUnfinishedDump) {
    auto dump = sample().dump(kSequence, 1000);
    dump.pop_back();
    ASSERT_FALSE(parse(dump));
    EXPECT_EQ(parse(dump).error().kind(), ErrorKind::protocol);
}

TEST(NetlinkDump, SkipsLateAnswersToOtherRequests) {
    auto dump = sample().dump(kSequence, 16384);
    const auto late = FakeDevice{}.dump(kSequence - 1, 16384);
    dump.insert(dump.begin(), late.begin(), late.end());
    const auto device = parse(dump);
    ASSERT_TRUE(device);
    EXPECT_THAT(device->peers, SizeIs(2));
}

TEST(NetlinkDump, PassesTheKernelsErrnoOn) {
    auto dump = sample().dump(kSequence, 16384);
    const int code = -ENODEV;
    std::memcpy(dump.back().data() + sizeof(nlmsghdr), &code, sizeof code);
    const auto device = parse(dump);
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().kind(), ErrorKind::not_found);
    EXPECT_EQ(device.error().code(), ENODEV);
}

// Cut at every byte, and each length field set to something else: an error or a device, never a crash.
TEST(NetlinkDump, SurvivesTruncation) {
    const auto good = sample().dump(kSequence, 16384).front();
    for (std::size_t size = 0; size < good.size(); ++size) {
        const Datagram cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(parse({cut})) << size;
        if (size < sizeof(nlmsghdr)) continue;
        Datagram fitted = cut;
        reinterpret_cast<nlmsghdr*>(fitted.data())->nlmsg_len = static_cast<std::uint32_t>(size);
        EXPECT_FALSE(parse({fitted})) << size;
    }
    for (std::size_t at = 0; at + 1 < good.size(); at += 4) {
        for (const int number : {0, 1, 4, 5, 0x7fff, 0xffff}) {
            const auto value = static_cast<std::uint16_t>(number);
            Datagram broken = good;
            std::memcpy(broken.data() + at, &value, sizeof value);
            NetlinkDump parser(kSequence);
            const auto state = parser.feed(broken);
            EXPECT_TRUE(state || state.error().kind() == ErrorKind::protocol ||
                        state.error().kind() == ErrorKind::io || state.error().code() != 0);
        }
    }
}

struct BadAttribute {
    const char* name;
    std::uint16_t type;
    std::string payload;
};

class NetlinkDumpPeer : public testing::TestWithParam<BadAttribute> {};
INSTANTIATE_TEST_SUITE_P(
    , NetlinkDumpPeer,
    testing::Values(
        BadAttribute{"ShortKey", WGPEER_A_PUBLIC_KEY, std::string(31, 'k')},
        BadAttribute{"LongKey", WGPEER_A_PUBLIC_KEY, std::string(33, 'k')},
        BadAttribute{"EmptyEndpoint", WGPEER_A_ENDPOINT, ""},
        BadAttribute{"UnknownFamily", WGPEER_A_ENDPOINT, std::string(16, '\x7')},
        BadAttribute{"ShortKeepalive", WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, "x"},
        BadAttribute{"ShortTime", WGPEER_A_LAST_HANDSHAKE_TIME, std::string(8, 'x')},
        BadAttribute{"ShortCounter", WGPEER_A_RX_BYTES, std::string(4, 'x')},
        BadAttribute{"EmptyAllowedIp", WGPEER_A_ALLOWEDIPS, std::string("\x4\0\0\0", 4)},
        BadAttribute{"AllowedIpMask33", WGPEER_A_ALLOWEDIPS,
                     std::string("\x1c\0\0\0\x6\0\1\0\2\0\0\0\x8\0\2\0\n\0\0\0\5\0\3\0\x21\0\0\0", 28)},
        BadAttribute{"AllowedIpOfOtherLength", WGPEER_A_ALLOWEDIPS,
                     std::string("\x1c\0\0\0\x6\0\1\0\n\0\0\0\x8\0\2\0\n\0\0\0\5\0\3\0\x08\0\0\0", 28)}),
    [](const auto& param) { return param.param.name; });

TEST_P(NetlinkDumpPeer, IsRefused) {
    WipedBytes bytes(1024);
    nlmsghdr* message = mnl_nlmsg_put_header(bytes.data());
    message->nlmsg_type = 0x1c;
    message->nlmsg_seq = kSequence;
    mnl_nlmsg_put_extra_header(message, GENL_HDRLEN);
    nlattr* peers = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);
    nlattr* peer = mnl_attr_nest_start(message, 0);
    if (GetParam().type != WGPEER_A_PUBLIC_KEY)
        mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, 32, key_of(1).bytes.data());
    mnl_attr_put(message, GetParam().type, GetParam().payload.size(), GetParam().payload.data());
    mnl_attr_nest_end(message, peer);
    mnl_attr_nest_end(message, peers);
    NetlinkDump parser(kSequence);
    const auto state = parser.feed({bytes.data(), message->nlmsg_len});
    ASSERT_FALSE(state);
    EXPECT_EQ(state.error().kind(), ErrorKind::protocol);
}

Datagram acknowledgement(std::uint32_t sequence, std::int32_t code, std::size_t cut = 0) {
    Datagram bytes(sizeof(nlmsghdr) + sizeof(nlmsgerr) - cut);
    auto* header = mnl_nlmsg_put_header(bytes.data());
    header->nlmsg_len = static_cast<std::uint32_t>(bytes.size());
    header->nlmsg_type = NLMSG_ERROR;
    header->nlmsg_seq = sequence;
    std::memcpy(bytes.data() + sizeof(nlmsghdr), &code,
                std::min(sizeof code, bytes.size() - sizeof(nlmsghdr)));
    return bytes;
}

TEST(NetlinkAck, TellsSuccessRefusalAndOthersAnswers) {
    EXPECT_EQ(parse_ack(acknowledgement(kSequence, 0), kSequence).value(), ReplyState::done);
    EXPECT_EQ(parse_ack(acknowledgement(kSequence - 1, -EINVAL), kSequence).value(), ReplyState::more);
    const auto refused = parse_ack(acknowledgement(kSequence, -EADDRINUSE), kSequence);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), EADDRINUSE);
    EXPECT_EQ(parse_ack(acknowledgement(kSequence, 5), kSequence).error().kind(), ErrorKind::protocol);
    EXPECT_EQ(parse_ack(acknowledgement(kSequence, -5000), kSequence).error().kind(), ErrorKind::protocol);
    EXPECT_EQ(parse_ack(acknowledgement(kSequence, 0, sizeof(nlmsgerr) - 2), kSequence).error().kind(),
              ErrorKind::protocol);
    EXPECT_FALSE(parse_ack({}, kSequence));
}

TEST(NetlinkFamily, ReadsTheIdOrSaysWhy) {
    WipedBytes bytes(256);
    nlmsghdr* message = mnl_nlmsg_put_header(bytes.data());
    message->nlmsg_type = GENL_ID_CTRL;
    mnl_nlmsg_put_extra_header(message, GENL_HDRLEN);
    mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, "wireguard");
    EXPECT_EQ(parse_family_reply({bytes.data(), message->nlmsg_len}).error().kind(), ErrorKind::not_found);
    mnl_attr_put_u16(message, CTRL_ATTR_FAMILY_ID, 0x1c);
    EXPECT_EQ(parse_family_reply({bytes.data(), message->nlmsg_len}).value(), 0x1c);
    EXPECT_EQ(parse_family_reply(acknowledgement(1, -ENOENT)).error().kind(), ErrorKind::not_found);
}

}  // namespace
}  // namespace wglan
