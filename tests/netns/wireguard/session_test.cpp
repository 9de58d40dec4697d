// SPDX-License-Identifier: Apache-2.0
// Changes under live sessions: nothing but what is named may be touched.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/netns/wireguard/node.h"

namespace wglan::test {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::SizeIs;

class Session : public WithBackend {};
INSTANTIATE_TEST_SUITE_P(, Session, testing::Values("userspace", "kernel"),
                         [](const auto& param) { return param.param; });

PublicKey stranger_key() {
    PublicKey key;
    key.bytes.fill(0x77);
    return key;
}

// `hub` at 192.0.2.1 and 198.51.100.1 with a spoke behind each; spokes answer on 10.9.9.9 both.
struct Star {
    explicit Star(const std::string& backend) : hub(backend), left(backend), right(backend) {
        connect_hosts(hub.host, "192.0.2.1/24", left.host, "192.0.2.2/24", "to-left");
        connect_hosts(hub.host, "198.51.100.1/24", right.host, "198.51.100.2/24", "to-right");
        hub.secrets.preshared[left.key()].fill(5);
        left.secrets.preshared[hub.key()].fill(5);
        hub.start(51820, {"10.9.0.1/32"});
        left.start(51820, {"10.9.0.2/32", "10.9.0.3/32", "10.9.9.9/32"});
        right.start(51820, {"10.9.0.4/32", "10.9.9.9/32"});
        hub.apply({add_peer(left.key(), "192.0.2.2:51820", {"10.9.0.2/32", "10.9.0.3/32", "10.9.9.9/32"}),
                   add_peer(right.key(), "198.51.100.2:51820", {"10.9.0.4/32"})});
        left.apply({add_peer(hub.key(), "192.0.2.1:51820", {"10.9.0.1/32"})});
        right.apply({add_peer(hub.key(), "198.51.100.1:51820", {"10.9.0.1/32"})});
        for (const char* address : {"10.9.0.2", "10.9.0.4"})
            hub.host.run(std::string("ping -c 1 -W 10 ") + address);
    }
    Node hub;
    Node left;
    Node right;
};

// Pings in the background; expect_whole() waits for its end: not one reply may lack.
class Pings {
public:
    Pings(const Host& host, const std::string& address, int count, std::atomic<bool>& running)
        : thread_([this, &host, address, count, &running] {
              output_ = host.try_run("ping -q -i 0.01 -W 10 -c " + std::to_string(count) + " " + address);
              running = false;
          }) {}
    void expect_whole() {
        thread_.join();
        EXPECT_THAT(output_.text, HasSubstr(" 0% packet loss"));
    }

private:
    Host::Output output_;
    std::thread thread_;
};

TEST_P(Session, SurvivesTheComingAndGoingOfAllowedIpsAndPeers) {
    Star star(GetParam());
    const auto before = star.hub.peer(star.left.key());
    ASSERT_NE(before.stats.last_handshake, 0);
    WgPeerChange less = update_peer(star.left.key());
    less.remove_allowed_ips = prefixes_of({"10.9.0.3/32"});
    WgPeerChange more = update_peer(star.left.key());
    more.add_allowed_ips = prefixes_of({"10.9.0.3/32", "10.77.0.0/16"});
    more.keepalive_s = 25;
    more.set_preshared = true;
    more.endpoint = Endpoint::parse("192.0.2.2:51820").value();
    WgPeerChange stranger = add_peer(stranger_key(), "192.0.2.99:51820", {"10.78.0.0/16"});
    WgPeerChange stranger_gone = update_peer(stranger.key);
    stranger_gone.kind = WgPeerChange::Kind::remove;

    std::atomic<bool> running = true;
    Pings pings(star.hub.host, "10.9.0.2", 150, running);
    int rounds = 0;
    for (; running || rounds < 5; ++rounds) {
        star.hub.apply({less, stranger});
        star.hub.apply({stranger_gone, more});
    }
    pings.expect_whole();

    star.hub.apply({less});
    const auto after = star.hub.peer(star.left.key());
    EXPECT_THAT(after.peer.allowed_ips,
                ElementsAreArray(prefixes_of({"10.9.0.2/32", "10.9.9.9/32", "10.77.0.0/16"})));
    EXPECT_THAT(star.hub.dump().peers, SizeIs(2));
    EXPECT_EQ(after.stats.last_handshake, before.stats.last_handshake);
    EXPECT_EQ(after.stats.last_handshake_ns, before.stats.last_handshake_ns);
    EXPECT_GT(after.stats.tx_bytes, before.stats.tx_bytes);
    EXPECT_NE(star.hub.host.try_run("ping -c 1 -W 1 10.9.0.3").exit_code, 0);
    EXPECT_EQ(star.hub.host.try_run("ping -c 1 -W 5 10.9.0.2").exit_code, 0);
    star.hub.apply({more});
    EXPECT_EQ(star.hub.host.try_run("ping -c 1 -W 5 10.9.0.3").exit_code, 0);
}

int receive_all(int fd) {
    int count = 0;
    for (char byte = 0; ::recv(fd, &byte, 1, MSG_DONTWAIT) >= 0;) ++count;
    return count;
}

// Datagrams one way, so that no answer can be judged by the allowed IPs of a moment later.
TEST_P(Session, APrefixMovesBetweenPeersWithoutAMomentOfBelongingToNone) {
    Star star(GetParam());
    constexpr std::uint16_t kPort = 4000;
    sockaddr_in target{};
    target.sin_family = AF_INET;
    target.sin_port = htons(kPort);
    ASSERT_EQ(::inet_pton(AF_INET, "10.9.9.9", &target.sin_addr), 1);
    UniqueFd sender;
    UniqueFd receivers[2];
    star.hub.host.inside([&] { sender.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
    int index = 0;
    for (Node* node : {&star.left, &star.right}) {
        node->host.inside([&] {
            UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
            const int room = 1 << 20;
            ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
            ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target), 0);
            receivers[index++] = std::move(fd);
        });
    }

    std::atomic<bool> moving = true;
    std::atomic<int> sent = 0;
    std::thread sending([&] {
        while (moving || sent < 300) {
            const char byte = 'x';
            EXPECT_EQ(::sendto(sender.get(), &byte, 1, 0, reinterpret_cast<const sockaddr*>(&target),
                               sizeof target),
                      1);
            ++sent;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    for (int round = 0; round < 40; ++round) {
        const int at = sent;
        WgPeerChange change = update_peer(round % 2 == 0 ? star.right.key() : star.left.key());
        change.add_allowed_ips = prefixes_of({"10.9.9.9/32"});
        star.hub.apply({change});
        while (sent < at + 3) std::this_thread::yield();
    }
    moving = false;
    sending.join();
    // The tunnel keeps the order: once this is through, all that went before is.
    for (const char* address : {"10.9.0.2", "10.9.0.4"})
        star.hub.host.run(std::string("ping -c 1 -W 10 ") + address);
    const int left = receive_all(receivers[0].get());
    const int right = receive_all(receivers[1].get());
    EXPECT_EQ(left + right, sent);
    EXPECT_GT(left, 0);
    EXPECT_GT(right, 0);
    EXPECT_THAT(star.hub.peer(star.right.key()).peer.allowed_ips,
                ElementsAreArray(prefixes_of({"10.9.0.4/32"})));
}

TEST_P(Session, IsAdoptedByTheNextAgent) {
    Star star(GetParam());
    const auto before = star.hub.peer(star.left.key());
    std::atomic<bool> running = true;
    Pings pings(star.hub.host, "10.9.0.2", 100, running);
    while (running) {
        star.hub.new_backend();
        EXPECT_FALSE(star.hub.ensure());
        star.hub.configure(51820);
    }
    pings.expect_whole();
    const auto after = star.hub.peer(star.left.key());
    EXPECT_EQ(after.peer, before.peer);
    EXPECT_EQ(after.stats.last_handshake, before.stats.last_handshake);
    EXPECT_EQ(after.stats.last_handshake_ns, before.stats.last_handshake_ns);
}

}  // namespace
}  // namespace wglan::test
