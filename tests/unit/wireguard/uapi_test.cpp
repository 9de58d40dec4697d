// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include <gmock/gmock.h>

#include "agent/wireguard/uapi_codec.h"
#include "tests/unit/wireguard/fake_device.h"

namespace wglan {
namespace {

using test::FakeSecrets;
using test::key_of;
using test::prefix_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const std::string kKey1 =
    "11111111111111111111111111111111111111111111111111111111"
    "00000001";
const std::string kKey2 =
    "11111111111111111111111111111111111111111111111111111111"
    "00000002";
const std::string kThrowAway =
    "11111111111111111111111111111111111111111111111111111111"
    "0000dead";

std::string repeated(std::string_view text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) result += text;
    return result;
}

WgPeerChange change_of(WgPeerChange::Kind kind, std::uint32_t number) {
    WgPeerChange change;
    change.kind = kind;
    change.key = key_of(number);
    return change;
}

std::string encoded(const std::vector<WgPeerChange>& changes, const FakeSecrets& secrets = {}) {
    auto messages = encode_uapi_changes(changes, secrets, key_of(0xdead));
    EXPECT_TRUE(messages) << messages.error().message();
    std::string text;
    for (const auto& message : *messages) text += message.text.text();
    return text;
}

TEST(UapiEncode, WritesAddUpdateAndRemove) {
    WgPeerChange add = change_of(WgPeerChange::Kind::add, 1);
    add.endpoint = Endpoint::parse("[2001:db8::7]:51820").value();
    add.keepalive_s = 25;
    add.set_preshared = true;
    add.add_allowed_ips = {prefix_of("10.1.0.0/16"), prefix_of("fd00::1/128")};
    WgPeerChange update = change_of(WgPeerChange::Kind::update, 2);
    update.keepalive_s = 0;
    EXPECT_EQ(encoded({add, update, change_of(WgPeerChange::Kind::remove, 1)}),
              "set=1\npublic_key=" + kKey1 + "\npreshared_key=" + repeated("01", 32) +
                  "\nendpoint=[2001:db8::7]:51820\nallowed_ip=10.1.0.0/16\nallowed_ip=fd00::1/128\n"
                  "persistent_keepalive_interval=25\n"
                  "public_key=" +
                  kKey2 +
                  "\nupdate_only=true\npersistent_keepalive_interval=0\n"
                  "public_key=" +
                  kKey1 + "\nupdate_only=true\nremove=true\n\n");
}

TEST(UapiEncode, RemovesAnAllowedIpThroughAThrowAwayPeer) {
    WgPeerChange update = change_of(WgPeerChange::Kind::update, 1);
    update.remove_allowed_ips = {prefix_of("10.1.0.0/16"), prefix_of("10.2.0.0/16")};
    const std::string thrown =
        "public_key=" + kThrowAway + "\nallowed_ip=10.1.0.0/16\nallowed_ip=10.2.0.0/16\nremove=true\n";
    EXPECT_EQ(encoded({update}), "set=1\n" + thrown + "\n");
    update.add_allowed_ips = {prefix_of("10.3.0.0/16")};
    EXPECT_EQ(encoded({update}),
              "set=1\npublic_key=" + kKey1 + "\nupdate_only=true\nallowed_ip=10.3.0.0/16\n" + thrown + "\n");
    EXPECT_THAT(encoded({update}), Not(HasSubstr("replace_allowed_ips")));
}

TEST(UapiEncode, ClearsAPresharedKeyWithZeros) {
    FakeSecrets secrets;
    secrets.without.insert(key_of(1));
    WgPeerChange update = change_of(WgPeerChange::Kind::update, 1);
    update.set_preshared = true;
    EXPECT_EQ(
        encoded({update}, secrets),
        "set=1\npublic_key=" + kKey1 + "\nupdate_only=true\npreshared_key=" + repeated("00", 32) + "\n\n");
}

TEST(UapiEncode, NamesThePeerWhoseSecretCannotBeHad) {
    FakeSecrets secrets;
    secrets.failing.insert(key_of(1));
    WgPeerChange update = change_of(WgPeerChange::Kind::update, 1);
    update.set_preshared = true;
    const auto messages = encode_uapi_changes({&update, 1}, secrets, key_of(2));
    ASSERT_FALSE(messages);
    EXPECT_THAT(messages.error().message(), HasSubstr(to_string(key_of(1))));
}

TEST(UapiEncode, WritesTheDevice) {
    WgDeviceChange change;
    change.set_private_key = true;
    change.listen_port = 0;
    change.firewall_mark = 16;
    const auto message = encode_uapi_device(change, FakeSecrets{});
    EXPECT_EQ(message.text.text(),
              "set=1\nprivate_key=" + repeated("42", 32) + "\nlisten_port=0\nfwmark=16\n\n");
}

TEST(UapiEncode, ClosesATransactionAtItsSizeAndSplitsNoPeer) {
    std::vector<WgPeerChange> changes;
    for (std::uint32_t i = 0; i < 1000; ++i) {
        changes.push_back(change_of(WgPeerChange::Kind::add, i));
        changes.back().add_allowed_ips = {prefix_of("10.0.0.0/8"), prefix_of("fd00::/64")};
    }
    for (const std::size_t size : {1UL, 115UL, 116UL, 117UL, 1000UL, kUapiMessage}) {
        const auto messages = encode_uapi_changes(changes, FakeSecrets{}, key_of(9), size);
        ASSERT_TRUE(messages);
        std::size_t next = 0;
        for (const auto& message : *messages) {
            EXPECT_EQ(message.first, next);
            next = message.last;
            const auto text = message.text.text();
            EXPECT_TRUE(text.starts_with("set=1\npublic_key=") &&
                        text.ends_with("\nallowed_ip=fd00::/64\n\n"))
                << text;
            EXPECT_LT(text.size(), size + 200);
        }
        EXPECT_EQ(next, changes.size());
        if (size == 1) {
            EXPECT_THAT(*messages, SizeIs(1000));
        }
    }
}

const std::string kReply =
    "private_key=" + repeated("4242424242424242", 4) +
    "\nlisten_port=51820\nfwmark=16\n"
    "public_key=" +
    kKey1 + "\npreshared_key=" + repeated("09", 32) +
    "\nprotocol_version=1\nendpoint=192.0.2.7:51821\nlast_handshake_time_sec=1700000000\n"
    "last_handshake_time_nsec=5\ntx_bytes=7\nrx_bytes=1099511627776\npersistent_keepalive_interval=25\n"
    "allowed_ip=fd00::1/128\nallowed_ip=10.1.0.0/16\n"
    "public_key=" +
    kKey2 + "\npreshared_key=" + repeated("00", 32) + "\nnew_in_version_2=x=y\nerrno=0\n\n";

void expect_sample(UapiReply& reply) {
    const auto device = reply.take();
    ASSERT_TRUE(device) << device.error().message();
    std::array<std::uint8_t, 32> secret{};
    secret.fill(0x42);
    EXPECT_EQ(device->public_key, public_key_of(secret).value());
    EXPECT_EQ(device->listen_port, 51820);
    EXPECT_EQ(device->firewall_mark, 16U);
    ASSERT_THAT(device->peers, SizeIs(2));
    const auto& [peer, stats] = device->peers[0];
    secret.fill(9);
    EXPECT_EQ(peer.key, key_of(1));
    EXPECT_EQ(peer.preshared, fingerprint(secret));
    EXPECT_EQ(peer.endpoint->to_string(), "192.0.2.7:51821");
    EXPECT_EQ(peer.keepalive_s, 25);
    EXPECT_THAT(peer.allowed_ips, ElementsAre(prefix_of("10.1.0.0/16"), prefix_of("fd00::1/128")));
    EXPECT_EQ(stats.last_handshake, 1700000000);
    EXPECT_EQ(stats.last_handshake_ns, 5U);
    EXPECT_EQ(stats.rx_bytes, 1ULL << 40);
    EXPECT_EQ(stats.tx_bytes, 7U);
    EXPECT_EQ(device->peers[1].peer.key, key_of(2));
    EXPECT_TRUE(device->peers[1].peer.preshared.is_zero());
    EXPECT_FALSE(device->peers[1].peer.endpoint);
}

TEST(UapiReply, ReadsADeviceHoweverItIsCut) {
    ASSERT_TRUE(init_crypto());
    for (std::size_t size = 1; size <= kReply.size(); ++size) {
        UapiReply reply;
        for (std::size_t at = 0; at < kReply.size(); at += size) {
            const auto whole = reply.feed(std::string_view(kReply).substr(at, size));
            ASSERT_TRUE(whole) << whole.error().message();
            ASSERT_EQ(*whole, at + size >= kReply.size());
        }
        EXPECT_EQ(reply.code(), 0);
        expect_sample(reply);
    }
}

TEST(UapiReply, KnowsThatItIsCutShort) {
    UapiReply reply;
    ASSERT_FALSE(reply.feed(std::string_view(kReply).substr(0, kReply.size() - 1)).value());
    EXPECT_EQ(reply.take().error().kind(), ErrorKind::protocol);
}

TEST(UapiReply, ReadsErrnoOfEitherSign) {
    for (const char* text : {"errno=22\n\n", "errno=-22\n\n"}) {
        UapiReply reply;
        EXPECT_TRUE(reply.feed(text).value());
        EXPECT_EQ(reply.code(), EINVAL);
    }
}

struct Endpoints {
    const char* text;
    const char* expected;
};

TEST(UapiReply, ReadsTheEndpointsThatImplementationsWrite) {
    for (const auto& [text, expected] :
         {Endpoints{"192.0.2.1:1", "192.0.2.1:1"}, Endpoints{"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
          Endpoints{"[fe80::1%eth0]:5", "[fe80::1]:5"}, Endpoints{"[::ffff:192.0.2.1]:5", "192.0.2.1:5"}}) {
        UapiReply reply;
        ASSERT_TRUE(reply.feed("public_key=" + kKey1 + "\nendpoint=" + text + "\nerrno=0\n\n")) << text;
        EXPECT_EQ(reply.take()->peers[0].peer.endpoint->to_string(), expected);
    }
}

struct BadReply {
    const char* name;
    std::string text;
};

class UapiBadReply : public testing::TestWithParam<BadReply> {};
INSTANTIATE_TEST_SUITE_P(
    , UapiBadReply,
    testing::Values(
        BadReply{"BlankLineFirst", "\n"}, BadReply{"NoKey", "=5\n"}, BadReply{"NoEquals", "hello\n"},
        BadReply{"LineAfterErrno", "errno=0\nfwmark=1\n"}, BadReply{"BytesAfterTheEnd", "errno=0\n\nx"},
        BadReply{"ErrnoNoNumber", "errno=zero\n"}, BadReply{"ErrnoEmpty", "errno=\n"},
        BadReply{"ErrnoSmallest", "errno=-2147483648\n"}, BadReply{"PortTooLarge", "listen_port=65536\n"},
        BadReply{"PortNegative", "listen_port=-1\n"}, BadReply{"KeyTooShort", "public_key=1122\n"},
        BadReply{"KeyTooLong", "public_key=" + kKey1 + "00\n"},
        BadReply{"KeyNoHex", "public_key=" + repeated("zz", 32) + "\n"},
        BadReply{"PrivateKeyNoHex", "private_key=" + repeated("4", 63) + "\n"},
        BadReply{"PresharedTooShort", "public_key=" + kKey1 + "\npreshared_key=00\n"},
        BadReply{"AllowedIpGarbage", "public_key=" + kKey1 + "\nallowed_ip=10.0.0.0/33\n"},
        BadReply{"EndpointGarbage", "public_key=" + kKey1 + "\nendpoint=nowhere\n"},
        BadReply{"EndpointZoneOnly", "public_key=" + kKey1 + "\nendpoint=[%]:1\n"},
        BadReply{"CounterTooLarge", "public_key=" + kKey1 + "\nrx_bytes=18446744073709551616\n"},
        BadReply{"KeepaliveTooLarge", "public_key=" + kKey1 + "\npersistent_keepalive_interval=65536\n"},
        BadReply{"EndlessLine", repeated("x", 257)}),
    [](const auto& param) { return param.param.name; });

TEST_P(UapiBadReply, IsRefused) {
    UapiReply reply;
    const auto whole = reply.feed(GetParam().text);
    ASSERT_FALSE(whole);
    EXPECT_EQ(whole.error().kind(), ErrorKind::protocol);
}

TEST(UapiReply, NeverQuotesASecret) {
    UapiReply reply;
    const auto whole = reply.feed("private_key=5ec4e7\n");
    ASSERT_FALSE(whole);
    EXPECT_THAT(whole.error().message(), Not(HasSubstr("5ec4e7")));
}

TEST(UapiReply, BoundsTheNumberOfPeers) {
    UapiReply reply;
    const std::string line = "public_key=" + kKey1 + "\n";
    Result<bool> fed = false;
    int peers = 0;
    while ((fed = reply.feed(line)) && peers < 100000) ++peers;
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().kind(), ErrorKind::exhausted);
    EXPECT_EQ(peers, 65536);
}

TEST(WipedBytes, GrowsAndKeepsItsContent) {
    WipedBytes bytes;
    for (int i = 0; i < 1000; ++i) bytes.append("abc");
    bytes.append_hex(std::array<std::uint8_t, 2>{0x0f, 0xa0});
    EXPECT_EQ(bytes.text(), repeated("abc", 1000) + "0fa0");
    WipedBytes other = std::move(bytes);
    EXPECT_TRUE(bytes.empty());  // NOLINT(bugprone-use-after-move): the contract says so
    EXPECT_EQ(other.size(), 3004U);
}

TEST(WipedBytes, WipesWhatItHeld) {
    WipedBytes bytes(64);
    bytes.append("secret");
    const std::uint8_t* block = bytes.data();
    bytes.wipe();
    EXPECT_TRUE(bytes.empty());
    EXPECT_THAT(std::vector<std::uint8_t>(block, block + 6), testing::Each(0));
}

}  // namespace
}  // namespace wglan
