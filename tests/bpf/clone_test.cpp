// SPDX-License-Identifier: Apache-2.0
// Packets that go to several places: which ones, where their clones go, and what is in them.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "agent/dataplane/steering_maps.h"
#include "maps/convert.h"
#include "maps/table.h"
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

constexpr std::size_t kMessage = 148;
constexpr MacAddress kNeighbour = {0x02, 0, 0, 0, 0, 0x77}, kGateway = {0x02, 0, 0, 0, 0, 0x99};

void shell(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

// All that arrives at a device.
class Tap {
public:
    explicit Tap(const std::string& device) : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
        sockaddr_ll at{};
        at.sll_family = AF_PACKET;
        at.sll_protocol = htons(ETH_P_ALL);
        at.sll_ifindex = ifindex_of(device);
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    }
    // UDP from the WireGuard port alone: neighbours and routers are solicited meanwhile.
    std::vector<Bytes> frames() const {
        std::vector<Bytes> seen;
        pollfd wait{fd_.get(), POLLIN, 0};
        while (::poll(&wait, 1, seen.empty() ? 50 : 5) == 1) {
            Bytes frame(2048);
            const auto length = ::recv(fd_.get(), frame.data(), frame.size(), 0);
            if (length < 42) continue;
            frame.resize(static_cast<std::size_t>(length));
            const std::size_t protocol = frame[12] == 0x08 ? 23 : 20, port = frame[12] == 0x08 ? 34 : 54;
            if (frame[protocol] == 17 && frame[port] == 51820 >> 8 && frame[port + 1] == (51820 & 0xff))
                seen.push_back(std::move(frame));
        }
        return seen;
    }

private:
    UniqueFd fd_;
};

Bytes initiation(std::uint8_t type = 1, std::size_t size = kMessage) {
    return Bytes{type, 0, 0, 0} + filler(size - 4);
}

class Clones : public Steer {
protected:
    void SetUp() override {
        Steer::SetUp();
        if (HasFatalFailure()) return;
        up_ = make_veth("uplink", "uplinkpeer");
        make_veth("other", "otherpeer");
        shell("echo 1 > /proc/sys/net/ipv4/conf/tunnel/forwarding");
        shell("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        shell("ip addr add 192.0.2.1/24 dev uplink; ip -6 addr add 2001:db8:1::1/64 dev uplink nodad");
        shell("ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev uplink nud permanent");
        shell("ip neigh add 2001:db8:1::77 lladdr 02:00:00:00:00:77 dev uplink nud permanent");
        shell("ip addr add 203.0.113.1/24 dev other; ip route add 198.51.100.0/24 via 203.0.113.9 dev other");
        shell("ip neigh add 203.0.113.9 lladdr 02:00:00:00:00:99 dev other nud permanent");
        up_tap_.emplace("uplinkpeer");
        other_tap_.emplace("otherpeer");
    }
    void TearDown() override {
        up_tap_.reset();
        other_tap_.reset();
        remove_link("uplink");
        remove_link("other");
        Steer::TearDown();
    }

    static wglan_place place(const std::string& text, bool same_way = false) {
        const auto parsed = Endpoint::parse(text).value();
        wglan_place value{};
        const auto bytes = parsed.address.mapped();
        std::copy(bytes.begin(), bytes.end(), value.address);
        value.port = parsed.port;
        value.same_way = same_way ? 1 : 0;
        return value;
    }
    void clones(const std::string& used, const std::vector<wglan_place>& others,
                wglan_cloned what = WGLAN_CLONED_INITIATIONS) {
        wglan_places value{};
        value.what = what;
        for (const auto& other : others) value.to[value.count++] = other;
        const wglan_place key = place(used);
        const Table<wglan_place, wglan_places> table(duplicate(object().map_fd("wglan_clones")).value(),
                                                     "wglan_clones");
        ASSERT_TRUE(table.put(key, value));
    }
    // For so long from now; 0: data isn't looked at.
    void clone_data(int seconds) {
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        auto value = object().tables().config.get(0);
        ASSERT_TRUE(value);
        value->data_cloned_until_ns =
            seconds == 0 ? 0 : static_cast<__u64>(now.tv_sec + seconds) * 1'000'000'000;
        ASSERT_TRUE(object().tables().config.put(0, *value));
    }
    // How many clones there are of a message of that type and length.
    std::size_t of(std::uint8_t type, std::size_t length) {
        expect_untouched(frame(from_us("192.0.2.9", 51820, initiation(type, length))), kNext, marked());
        return up().frames().size();
    }
    static Ip from_us(const std::string& to, std::uint16_t port = 51820,
                      const Bytes& message = initiation()) {
        const bool v4 = to.find(':') == std::string::npos;
        return {.source = v4 ? "192.0.2.1" : "2001:db8:1::1",
                .destination = to,
                .transport = udp(kPort, port, message)};
    }
    static Bytes frame_to(const Ip& packet, const MacAddress& mac, const std::string& device) {
        Bytes whole = frame(packet);
        std::copy(mac.begin(), mac.end(), whole.begin());
        const MacAddress own = mac_of(device);
        std::copy(own.begin(), own.end(), whole.begin() + 6);
        return whole;
    }
    static MacAddress mac_of(const std::string& device) {
        ifreq request{};
        device.copy(request.ifr_name, IFNAMSIZ - 1);
        const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::ioctl(socket.get(), SIOCGIFHWADDR, &request), 0);
        MacAddress mac;
        std::copy_n(reinterpret_cast<const std::uint8_t*>(request.ifr_hwaddr.sa_data), mac.size(),
                    mac.begin());
        return mac;
    }
    How marked() const { return {.mark = kMark, .ifindex = up_}; }
    std::uint64_t cloned() const {
        std::uint64_t sum = 0;
        const auto cpus = object().tables().stats.get(0).value();
        for (const auto& cpu : cpus) sum += cpu.cloned;
        return sum;
    }
    const Tap& up() const { return *up_tap_; }
    const Tap& other() const { return *other_tap_; }
    int up_index() const { return up_; }

private:
    int up_ = 0;
    std::optional<Tap> up_tap_, other_tap_;
};

}  // namespace

TEST_F(Clones, GoToEachOtherPlaceByItsOwnWay) {
    clones("192.0.2.9:51820",
           {place("192.0.2.77:1234"), place("198.51.100.5:51820"), place("192.0.2.10:7", true)});
    expect_untouched(frame(from_us("192.0.2.9")), kNext, marked());
    const auto up_frames = up().frames(), other_frames = other().frames();
    ASSERT_EQ(up_frames.size(), 2U);
    EXPECT_EQ(hex(up_frames[0]), hex(frame_to(from_us("192.0.2.77", 1234), kNeighbour, "uplink")));
    EXPECT_EQ(hex(up_frames[1]), hex(frame(from_us("192.0.2.10", 7))));
    ASSERT_EQ(other_frames.size(), 1U);
    EXPECT_EQ(hex(other_frames[0]), hex(frame_to(from_us("198.51.100.5"), kGateway, "other")));
    EXPECT_EQ(cloned(), 3U);
}

TEST_F(Clones, GoByIpv6Too) {
    clones("[2001:db8:1::9]:51820", {place("[2001:db8:1::77]:1234"), place("[2001:db8:1::10]:7", true)});
    expect_untouched(frame(from_us("2001:db8:1::9")), kNext, marked());
    const auto frames = up().frames();
    ASSERT_EQ(frames.size(), 2U);
    EXPECT_EQ(hex(frames[0]), hex(frame_to(from_us("2001:db8:1::77", 1234), kNeighbour, "uplink")));
    EXPECT_EQ(hex(frames[1]), hex(frame(from_us("2001:db8:1::10", 7))));
}

TEST_F(Clones, ComeFromOurAddressOnTheirWay) {
    const auto from = [](wglan_place to, const char* source) {
        const auto bytes = IpAddress::parse(source).value().mapped();
        std::copy(bytes.begin(), bytes.end(), to.source);
        return to;
    };
    clones("192.0.2.9:51820", {from(place("198.51.100.5:7"), "203.0.113.1"), place("192.0.2.77:1234")});
    expect_untouched(frame(from_us("192.0.2.9")), kNext, marked());
    Ip moved = from_us("198.51.100.5", 7);
    moved.source = "203.0.113.1";
    auto frames = other().frames();
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(hex(frames[0]), hex(frame_to(moved, kGateway, "other")));
    frames = up().frames();
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(hex(frames[0]), hex(frame_to(from_us("192.0.2.77", 1234), kNeighbour, "uplink")));

    clones("[2001:db8:1::9]:51820", {from(place("[2001:db8:1::77]:1"), "2001:db8:2::1")});
    expect_untouched(frame(from_us("2001:db8:1::9")), kNext, marked());
    moved = from_us("2001:db8:1::77", 1);
    moved.source = "2001:db8:2::1";
    frames = up().frames();
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(hex(frames[0]), hex(frame_to(moved, kNeighbour, "uplink")));
}

TEST_F(Clones, AsManyAsThereIsRoomFor) {
    std::vector<wglan_place> others;
    for (int i = 0; i < WGLAN_CLONES; ++i)
        others.push_back(place("192.0.2." + std::to_string(20 + i) + ":51820", true));
    clones("192.0.2.9:51820", others);
    expect_untouched(frame(from_us("192.0.2.9")), kNext, marked());
    EXPECT_EQ(up().frames().size(), static_cast<std::size_t>(WGLAN_CLONES));
}

TEST_F(Clones, NeedNoMark) {
    clones("192.0.2.9:51820", {place("192.0.2.77:1234")});
    expect_untouched(frame(from_us("192.0.2.9")), kNext, {.ifindex = up_index()});
    EXPECT_EQ(up().frames().size(), 1U);
}

TEST_F(Clones, OfInitiationsAlone) {
    clones("192.0.2.9:51820", {place("192.0.2.77:1234")});
    expect_untouched(frame(from_us("192.0.2.9", 51820, initiation(2))), kNext, marked());
    expect_untouched(frame(from_us("192.0.2.9", 51820, initiation(4))), kNext, marked());
    expect_untouched(frame(from_us("192.0.2.9", 51820, initiation(1, kMessage + 4))), kNext, marked());
    expect_untouched(frame(from_us("192.0.2.9", 51821)), kNext, marked());  // another endpoint
    expect_untouched(frame(from_us("192.0.2.8")), kNext, marked());
    Ip stranger = from_us("192.0.2.9");
    stranger.transport = udp(4000, 51820, initiation());
    expect_untouched(frame(stranger), kNext, marked());
    Ip fragment = from_us("192.0.2.9");
    fragment.fragment = 0x2000;
    expect_untouched(frame(fragment), kNext, marked());
    EXPECT_TRUE(up().frames().empty());
    EXPECT_EQ(cloned(), 0U);
}

TEST_F(Clones, OfDataAsLongAsTheAgentSays) {
    clones("192.0.2.9:51820", {place("192.0.2.77:1234")}, WGLAN_CLONED_DATA);
    for (const int seconds : {0, -1}) {
        clone_data(seconds);
        EXPECT_EQ(of(4, 112), 0U) << seconds;
        EXPECT_EQ(of(1, kMessage), 0U) << seconds;
    }
    clone_data(60);
    EXPECT_EQ(of(4, 112), 1U);
    EXPECT_EQ(of(4, 1452), 1U);
    EXPECT_EQ(of(4, 32), 1U);
    EXPECT_EQ(of(1, kMessage), 0U) << "a peer that is up needs no handshakes elsewhere";
    EXPECT_EQ(of(2, 92), 0U);
    EXPECT_EQ(of(5, 112), 0U);
    EXPECT_EQ(cloned(), 0U) << "initiations are what is counted";
}

TEST_F(Clones, OfProbesAlone) {
    clones("192.0.2.9:51820", {place("192.0.2.77:1234")}, WGLAN_CLONED_PROBES);
    clone_data(60);
    EXPECT_EQ(of(4, 112), 1U);
    EXPECT_EQ(of(4, 96), 0U);
    EXPECT_EQ(of(4, 128), 0U);
    EXPECT_EQ(of(1, kMessage), 0U);
    clones("192.0.2.9:51820", {place("192.0.2.77:1234")});
    EXPECT_EQ(of(4, 112), 0U) << "of a peer that is looked for, initiations alone";
    EXPECT_EQ(of(1, kMessage), 1U);
}

TEST_F(Clones, OfDataBeginWithTheirList) {
    auto maps = SteeringMaps::open(object(), 1000);
    ASSERT_TRUE(maps);
    const auto endpoint = [](const char* text) { return Endpoint::parse(text).value(); };
    CloneList list{endpoint("192.0.2.9:51820"), {{endpoint("192.0.2.77:1234"), false, {}}}};
    ASSERT_TRUE(maps->put_clones(list));
    EXPECT_EQ(object().tables().config.get(0)->data_cloned_until_ns, 0U);
    EXPECT_EQ(of(4, 112), 0U);
    list.what = CloneList::What::data;
    ASSERT_TRUE(maps->put_clones(list));
    EXPECT_EQ(of(4, 112), 1U);
    ASSERT_TRUE(maps->heartbeat());
    EXPECT_EQ(of(4, 112), 1U) << "an agent that lives doesn't end it before its time";
    ASSERT_TRUE(maps->remove_clones(list.used));
    EXPECT_EQ(of(4, 112), 0U);
    clone_data(-1);
    ASSERT_TRUE(maps->heartbeat());
    EXPECT_EQ(object().tables().config.get(0)->data_cloned_until_ns, 0U);
}

TEST_F(Clones, SkipWhereThereIsNoWay) {
    clones("192.0.2.9:51820", {place("192.0.2.55:1"), place("100.64.0.1:1"), place("192.0.2.77:1234")});
    expect_untouched(frame(from_us("192.0.2.9")), kNext, marked());
    EXPECT_EQ(up().frames().size(), 1U);
    EXPECT_EQ(cloned(), 1U);
}

TEST_F(Clones, KeepAChecksumThatIsNone) {
    clones("192.0.2.9:51820", {place("192.0.2.77:1234")});
    Bytes packet = frame(from_us("192.0.2.9"));
    packet[40] = packet[41] = 0;
    expect_untouched(packet, kNext, marked());
    const auto frames = up().frames();
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0][40], 0);
    EXPECT_EQ(frames[0][41], 0);
}

TEST_F(Clones, ArePutAndRemoved) {
    clones("192.0.2.44:51820", {place("192.0.2.77:1234")});  // a predecessor's
    auto maps = SteeringMaps::open(object(), 1000);
    ASSERT_TRUE(maps);
    const auto endpoint = [](const char* text) { return Endpoint::parse(text).value(); };
    CloneList list{endpoint("192.0.2.9:51820"), {{endpoint("192.0.2.77:1234"), false, {}}}};
    const auto frames_of = [&](const char* to) {
        expect_untouched(frame(from_us(to)), kNext, marked());
        return up().frames().size();
    };
    EXPECT_EQ(frames_of("192.0.2.44"), 0U);
    ASSERT_TRUE(maps->put_clones(list));
    EXPECT_EQ(frames_of("192.0.2.9"), 1U);
    list.others.push_back({endpoint("192.0.2.12:5"), true, {}});
    ASSERT_TRUE(maps->put_clones(list));
    EXPECT_EQ(frames_of("192.0.2.9"), 2U);
    ASSERT_TRUE(maps->remove_clones(list.used));
    EXPECT_EQ(frames_of("192.0.2.9"), 0U);
}

// Whatever the message, the original is as it was and the clones' checksums are right.
TEST_F(Clones, HoldForAnyMessage) {
    std::mt19937 random(5);
    clones("192.0.2.9:51820", {place("192.0.2.77:65535"), place("192.0.2.255:1", true)});
    clones("[2001:db8:1::9]:51820", {place("[2001:db8:1::77]:1")});
    for (int i = 0; i < 300; ++i) {
        Bytes message = initiation();
        for (std::size_t at = 4; at < message.size(); ++at) message[at] = static_cast<std::uint8_t>(random());
        expect_untouched(frame(from_us("192.0.2.9", 51820, message)), kNext, marked());
        expect_untouched(frame(from_us("2001:db8:1::9", 51820, message)), kNext, marked());
        const auto frames = up().frames();
        ASSERT_EQ(frames.size(), 3U);
        EXPECT_EQ(hex(frames[0]), hex(frame_to(from_us("192.0.2.77", 65535, message), kNeighbour, "uplink")));
        EXPECT_EQ(hex(frames[1]), hex(frame(from_us("192.0.2.255", 1, message))));
        EXPECT_EQ(hex(frames[2]), hex(frame_to(from_us("2001:db8:1::77", 1, message), kNeighbour, "uplink")));
    }
}

}  // namespace wglan::test
