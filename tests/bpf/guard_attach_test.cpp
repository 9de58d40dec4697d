// SPDX-License-Identifier: Apache-2.0
// The guard on real devices: by XDP and by TC, beside others' programs, adopted, removed, cleaned up.
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/dataplane.h"
#include "maps/wglan_guard.h"
#include "tests/bpf/drop_odd.h"
#include "tests/bpf/environment.h"
#include "tests/bpf/guard_fixture.h"

namespace wglan::test {

namespace {

constexpr std::uint16_t kPort = 51820;
constexpr std::uint32_t kRate = 5;
constexpr const char* kOwn = "192.0.2.1";

std::string text_of(const Result<>& result) { return result ? "" : result.error().message(); }

int sh(const std::string& command) { return std::system(command.c_str()); }

UniqueFd foreign_program(bpf_prog_type type, int verdict) {
    const bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = verdict},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    return UniqueFd(bpf_prog_load(type, "foreign", "GPL", code, 2, nullptr));
}

__u32 xdp_id(int ifindex) {
    __u32 id = 0;
    return bpf_xdp_query_id(ifindex, 0, &id) == 0 ? id : 0;
}

__u32 link_id(const std::string& pin) {
    const auto fd = open_pin(pin);
    bpf_link_info info{};
    __u32 length = sizeof info;
    return fd && bpf_obj_get_info_by_fd(fd->get(), &info, &length) == 0 ? info.id : 0;
}

// A host with the address kOwn on `uplink`; frames from "the others" come out of `far`.
class GuardAttach : public ::testing::TestWithParam<bool> {
protected:
    void SetUp() override {
        pin_path_ = bpffs() + "/plane";
        if (!GetParam() && !Attacher(pin_path_, false).uses_tcx()) GTEST_SKIP() << "this kernel has no TCX";
        uplink_ = make_veth("uplink", "far");
        // Nobody answers at the far end: no ARP is needed for what comes in.
        ASSERT_EQ(sh("ip addr add 192.0.2.1/24 dev uplink && ethtool -K far tx off >/dev/null 2>&1"), 0);
        receiver_ = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const int big = 1 << 20;
        ::setsockopt(receiver_.get(), SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
        const sockaddr_in own{AF_INET, htons(kPort), {htonl(INADDR_ANY)}, {}};
        ASSERT_EQ(::bind(receiver_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
    }
    void TearDown() override {
        EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
        if (uplink_ != 0) remove_link("uplink");
    }

    std::unique_ptr<Dataplane> loaded() const {
        auto plane = make_dataplane({.pin_path = pin_path_, .force_clsact = GetParam(), .max_routes = 1024});
        EXPECT_EQ(text_of((*plane)->load()), "");
        return std::move(*plane);
    }
    static void set(Dataplane& plane) {
        EXPECT_EQ(text_of(plane.set_config({.listen_port = kPort})), "");
        EXPECT_EQ(text_of(plane.set_guard({kRate, {IpAddress::parse(kOwn).value()}})), "");
        const auto settings = open_pin(bpffs() + "/plane/" + kMapsDirectory + "/wglan_guard");
        ASSERT_TRUE(settings);
        drop_odd(settings->get());
    }
    std::unique_ptr<Dataplane> guarding(bool physical) const {
        auto plane = loaded();
        set(*plane);
        EXPECT_TRUE(plane->attach_guard(uplink_, physical));
        return plane;
    }

    // How many of these frames a socket on the WireGuard port gets.
    int arrive(const Bytes& payload, const std::string& source, int times,
               const std::string& device = "uplink", bool in_pieces = false) const {
        Ip packet{.source = source, .destination = kOwn, .transport = udp(40000, kPort, payload)};
        Bytes bytes = frame(packet);
        ifreq request{};
        device.copy(request.ifr_name, IFNAMSIZ - 1);
        EXPECT_EQ(::ioctl(receiver_.get(), SIOCGIFHWADDR, &request), 0);
        std::memcpy(bytes.data(), request.ifr_hwaddr.sa_data, 6);
        char buffer[9000];
        while (::recv(receiver_.get(), buffer, sizeof buffer, 0) >= 0) {
        }
        for (int i = 0; i < times; ++i) send_frame(ifindex_of("far"), bytes.data(), bytes.size(), in_pieces);
        ::usleep(50'000);  // NAPI delivers when it likes
        int count = 0;
        while (::recv(receiver_.get(), buffer, sizeof buffer, 0) >= 0) ++count;
        return count;
    }
    // The most that a source may have got through since then.
    static int most(std::chrono::steady_clock::time_point since) {
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
        return static_cast<int>(kRate * (1 + seconds)) + 1;
    }
    void expect_guarded(const std::string& flooder, const std::string& other,
                        const std::string& device = "uplink") const {
        const auto start = std::chrono::steady_clock::now();
        const int passed = arrive(initiation(), flooder, 60, device);
        EXPECT_GE(passed, static_cast<int>(kRate));
        EXPECT_LE(passed, most(start));
        EXPECT_EQ(arrive(data(), flooder, 60, device), 60);
        EXPECT_EQ(arrive(initiation(), other, 3, device), 3);
        EXPECT_EQ(arrive(filler(64), other, 5, device), 0);
    }

    std::string pin_path_;
    int uplink_ = 0;
    UniqueFd receiver_;
};

}  // namespace

TEST_P(GuardAttach, GuardsVirtualDevicesAtTc) {
    auto plane = loaded();
    EXPECT_EQ(arrive(initiation(), "192.0.2.7", 60), 60);
    EXPECT_FALSE(plane->guard()->settings);
    set(*plane);
    const auto place = plane->attach_guard(uplink_, false);
    ASSERT_TRUE(place) << place.error().message();
    EXPECT_EQ(place->mode, GuardMode::tc);
    EXPECT_EQ(place->note, "");
    EXPECT_EQ(place->attachment.kind, GetParam() ? Attachment::Kind::clsact : Attachment::Kind::tcx);
    expect_guarded("192.0.2.7", "192.0.2.8");
    EXPECT_EQ(plane->counters()->dropped.at("guard_type"), 5U);
    EXPECT_GT(plane->counters()->dropped.at("guard_rate"), 0U);
    EXPECT_EQ(plane->guard()->places, std::vector{*place});
    EXPECT_EQ(*plane->attachments(), std::vector{place->attachment});
    EXPECT_EQ(xdp_id(uplink_), 0U);
}

TEST_P(GuardAttach, GuardsPhysicalDevicesByNativeXdp) {
    auto plane = loaded();
    set(*plane);
    const auto place = plane->attach_guard(uplink_, true);
    ASSERT_TRUE(place) << place.error().message();
    EXPECT_EQ(place->mode, GuardMode::native);
    EXPECT_EQ(place->attachment.hook, Attachment::Hook::xdp);
    expect_guarded("192.0.2.7", "192.0.2.8");
    EXPECT_EQ(plane->guard()->places, std::vector{*place});
    EXPECT_EQ(*plane->attachments(), std::vector{place->attachment});
}

TEST_P(GuardAttach, FallsBackToGenericXdp) {
    if (sh("ip link add link uplink name mv0 address 02:00:00:00:00:aa type macvlan mode bridge && ip link "
           "set "
           "mv0 up && ip addr flush dev uplink && ip addr add 192.0.2.1/24 dev mv0") != 0)
        GTEST_SKIP() << "this kernel has no macvlan";
    auto plane = loaded();
    set(*plane);
    const auto place = plane->attach_guard(ifindex_of("mv0"), true);
    ASSERT_TRUE(place) << place.error().message();
    EXPECT_EQ(place->mode, GuardMode::generic);
    expect_guarded("192.0.2.7", "192.0.2.8", "mv0");
    EXPECT_EQ(plane->guard()->places.at(0).mode, GuardMode::generic);
    ASSERT_TRUE(plane->detach_guard(ifindex_of("mv0")));
    EXPECT_EQ(arrive(initiation(), "192.0.2.7", 60, "mv0"), 60);
}

TEST_P(GuardAttach, StandsBesideAnothersXdpProgram) {
    const UniqueFd foreign = foreign_program(BPF_PROG_TYPE_XDP, XDP_PASS);
    ASSERT_TRUE(foreign.valid());
    ASSERT_EQ(bpf_xdp_attach(uplink_, foreign.get(), 0, nullptr), 0);
    const __u32 theirs = xdp_id(uplink_);
    ASSERT_NE(theirs, 0U);
    auto plane = loaded();
    set(*plane);
    const auto place = plane->attach_guard(uplink_, true);
    ASSERT_TRUE(place) << place.error().message();
    EXPECT_EQ(place->mode, GuardMode::tc);
    EXPECT_EQ(place->note, "another XDP program (foreign, id " + std::to_string(theirs) + ") is there");
    EXPECT_EQ(xdp_id(uplink_), theirs);
    expect_guarded("192.0.2.7", "192.0.2.8");
    auto state = plane->guard();
    ASSERT_EQ(state->places.size(), 1U);
    EXPECT_EQ(state->places[0].note, place->note);
    EXPECT_FALSE(state->places[0].movable);

    ASSERT_EQ(bpf_xdp_detach(uplink_, 0, nullptr), 0);
    EXPECT_TRUE(plane->guard()->places.at(0).movable);
    const auto moved = plane->attach_guard(uplink_, true);
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->mode, GuardMode::native);
    EXPECT_EQ(plane->guard()->places, std::vector{*moved});
    expect_guarded("192.0.2.17", "192.0.2.18");
}

TEST_P(GuardAttach, SeesThatSomebodyChangedItsMaps) {
    auto plane = loaded();
    const GuardSettings wanted{kRate,
                               {IpAddress::parse(kOwn).value(), IpAddress::parse("2001:db8::1").value()}};
    ASSERT_TRUE(plane->set_config({.listen_port = kPort}));
    ASSERT_TRUE(plane->set_guard(wanted));
    EXPECT_EQ(plane->guard()->settings, wanted);
    const std::string maps = bpffs() + "/plane/" + kMapsDirectory + "/";
    const auto addresses = open_pin(maps + "wglan_gaddress"), settings = open_pin(maps + "wglan_guard");
    wglan_guard_address key{};
    ASSERT_EQ(bpf_map_get_next_key(addresses->get(), nullptr, &key), 0);
    ASSERT_EQ(bpf_map_delete_elem(addresses->get(), &key), 0);
    EXPECT_NE(plane->guard()->settings, wanted);
    ASSERT_TRUE(plane->set_guard(wanted));
    EXPECT_EQ(plane->guard()->settings, wanted);
    const __u32 zero = 0;
    wglan_guard_settings other{};
    other.handshakes_per_s = 1;
    ASSERT_EQ(bpf_map_update_elem(settings->get(), &zero, &other, BPF_ANY), 0);
    EXPECT_NE(plane->guard()->settings, wanted);
}

TEST_P(GuardAttach, WinsItsPlaceBackFromWhoComesBeforeItAtTc) {
    constexpr __u32 kBefore = 1U << 3;
    constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
    auto plane = loaded();
    set(*plane);
    ASSERT_TRUE(plane->attach_guard(uplink_, false));
    EXPECT_FALSE(plane->guard()->places.at(0).movable);
    if (GetParam()) return;  // a filter's place is its priority
    // It takes all packets for itself.
    const UniqueFd foreign = foreign_program(BPF_PROG_TYPE_SCHED_CLS, 0);
    for (int round = 0; round < 2; ++round) {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = kBefore);
        const UniqueFd link(bpf_link_create(foreign.get(), uplink_, kTcxIngress, &options));
        ASSERT_TRUE(link.valid());
        const auto place = plane->guard()->places.at(0);
        if (round == 1) {
            EXPECT_FALSE(place.movable) << "who insists gets it, for five minutes";
            EXPECT_EQ(plane->attachments()->size(), 1U);
            break;
        }
        EXPECT_TRUE(place.movable);
        EXPECT_TRUE(plane->attachments()->empty()) << "a lost place must be seen as drift";
        ASSERT_TRUE(plane->attach_guard(uplink_, false));
        EXPECT_FALSE(plane->guard()->places.at(0).movable);
        EXPECT_EQ(plane->attachments()->size(), 1U);
        const auto ids = tcx_program_ids(uplink_, Attachment::Hook::tc_ingress);
        ASSERT_EQ(ids->size(), 2U);
        EXPECT_EQ(program_name(ids->back()), "foreign");
    }
}

// What others have at the same hook runs on for all that isn't dropped.
TEST_P(GuardAttach, LeavesOthersAtTcAlone) {
    const UniqueFd foreign = foreign_program(BPF_PROG_TYPE_SCHED_CLS, -1);
    ASSERT_TRUE(foreign.valid());
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = uplink_, .attach_point = BPF_TC_INGRESS);
    ASSERT_EQ(bpf_tc_hook_create(&hook), 0);
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = foreign.get(), .handle = 1, .priority = 1);
    ASSERT_EQ(bpf_tc_attach(&hook, &filter), 0);
    {
        auto plane = guarding(false);
        expect_guarded("192.0.2.7", "192.0.2.8");
    }
    EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
    LIBBPF_OPTS(bpf_tc_opts, query, .handle = 1, .priority = 1);
    EXPECT_EQ(bpf_tc_query(&hook, &query), 0);
    EXPECT_EQ(arrive(initiation(), "192.0.2.7", 60), 60);
}

TEST_P(GuardAttach, GuardsWithoutAnAgentAndIsAdoptedInPlace) {
    for (const bool physical : {false, true}) {
        {
            auto plane = guarding(physical);
        }
        const auto start = std::chrono::steady_clock::now();
        const std::string flooder = physical ? "192.0.2.7" : "192.0.2.9";
        int passed = arrive(initiation(), flooder, 60);
        EXPECT_LE(passed, most(start));
        const auto peeked = peek_guard(pin_path_);
        ASSERT_TRUE(peeked);
        ASSERT_EQ(peeked->places.size(), 1U);
        EXPECT_TRUE(peeked->settings);
        std::vector<__u32> links;
        for (const std::string& name : list_pins(pin_path_ + "/links"))
            links.push_back(link_id(pin_path_ + "/links/" + name));

        auto successor = loaded();
        EXPECT_TRUE(successor->adopted());
        auto state = successor->guard();
        ASSERT_EQ(state->places.size(), 1U);
        EXPECT_FALSE(state->places[0].current);
        EXPECT_TRUE(successor->attachments()->empty());
        // The predecessor's program goes on, with its buckets: this source's is empty still.
        passed += arrive(initiation(), flooder, 60);
        EXPECT_LE(passed, most(start));
        set(*successor);
        ASSERT_TRUE(successor->attach_guard(uplink_, physical));
        std::vector<__u32> after;
        for (const std::string& name : list_pins(pin_path_ + "/links"))
            after.push_back(link_id(pin_path_ + "/links/" + name));
        EXPECT_EQ(links, after);  // the same links: nothing was detached
        EXPECT_TRUE(successor->guard()->places.at(0).current);
        EXPECT_EQ(successor->attachments()->size(), 1U);
        passed += arrive(initiation(), flooder, 60);
        EXPECT_LE(passed, most(start));
        ASSERT_TRUE(successor->drop_guard());
    }
}

TEST_P(GuardAttach, AttachesAgainWhatSomebodyRemoved) {
    auto plane = guarding(true);
    const auto pins = list_pins(pin_path_ + "/links");
    ASSERT_EQ(pins.size(), 1U);
    const auto link = open_pin(pin_path_ + "/links/" + pins[0]);
    ASSERT_EQ(bpf_link_detach(link->get()), 0);
    EXPECT_TRUE(plane->guard()->places.empty());
    EXPECT_EQ(arrive(initiation(), "192.0.2.7", 60), 60);
    ASSERT_TRUE(plane->attach_guard(uplink_, true));
    expect_guarded("192.0.2.7", "192.0.2.8");

    // The pin alone: with the last reference the link goes.
    ASSERT_EQ(::unlink((pin_path_ + "/links/" + pins[0]).c_str()), 0);
    for (int i = 0; i < 100 && xdp_id(uplink_) != 0; ++i) ::usleep(10'000);
    EXPECT_TRUE(plane->guard()->places.empty());
    ASSERT_TRUE(plane->attach_guard(uplink_, true));
    EXPECT_NE(xdp_id(uplink_), 0U);
}

TEST_P(GuardAttach, MovesBetweenHooksAndLeavesNoSecondOne) {
    auto plane = guarding(true);
    ASSERT_TRUE(plane->attach_guard(uplink_, false));
    EXPECT_EQ(xdp_id(uplink_), 0U);
    ASSERT_EQ(plane->guard()->places.size(), 1U);
    EXPECT_EQ(plane->guard()->places[0].mode, GuardMode::tc);
    expect_guarded("192.0.2.7", "192.0.2.8");
    ASSERT_TRUE(plane->attach_guard(uplink_, true));
    ASSERT_EQ(plane->guard()->places.size(), 1U);
    EXPECT_EQ(plane->guard()->places[0].mode, GuardMode::native);
}

// The headers needn't be where programs read directly: here only the MAC header is.
TEST_P(GuardAttach, ReadsPacketsThatAreInPieces) {
    ASSERT_EQ(sh("ip link set uplink mtu 9000 && ip link set far mtu 9000"), 0);
    for (const bool physical : {false, true}) {
        auto plane = guarding(physical);
        const auto before = plane->counters()->dropped.at("guard_type");
        EXPECT_EQ(arrive(filler(5000), "192.0.2.7", 3, "uplink", true), 0) << physical;
        EXPECT_EQ(plane->counters()->dropped.at("guard_type"), before + 3) << physical;
        EXPECT_EQ(arrive(data(5000), "192.0.2.7", 3, "uplink", true), 3) << physical;
        ASSERT_TRUE(plane->drop_guard());
    }
}

TEST_P(GuardAttach, IsSwitchedOffWhole) {
    auto plane = guarding(true);
    ASSERT_TRUE(plane->drop_guard());
    EXPECT_EQ(xdp_id(uplink_), 0U);
    EXPECT_TRUE(plane->guard()->places.empty());
    EXPECT_FALSE(plane->guard()->settings);
    EXPECT_TRUE(list_pins(pin_path_ + "/links").empty());
    for (const std::string& name : list_pins(pin_path_ + "/maps"))
        EXPECT_EQ(name.find("_g"), name.npos) << name;
    EXPECT_EQ(arrive(initiation(), "192.0.2.7", 60), 60);
    set(*plane);
    ASSERT_TRUE(plane->attach_guard(uplink_, false));
    expect_guarded("192.0.2.7", "192.0.2.8");
}

TEST_P(GuardAttach, CleanUpLeavesNothing) {
    for (const bool physical : {false, true}) {
        {
            auto plane = guarding(physical);
        }
        EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
        EXPECT_NE(::access(pin_path_.c_str(), F_OK), 0);
        EXPECT_EQ(xdp_id(uplink_), 0U);
        EXPECT_EQ(arrive(initiation(), "192.0.2.7", 60), 60);
        EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
    }
}

TEST_P(GuardAttach, LeavesSteeringAndItsTakeOverAlone) {
    {
        auto plane = guarding(false);
        ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
        EXPECT_EQ(plane->attachments()->size(), 2U);
    }
    auto successor = loaded();
    EXPECT_EQ(successor->attachments()->size(), 1U);  // steering, taken over; the guard is the predecessor's
    expect_guarded("192.0.2.7", "192.0.2.8");
    ASSERT_TRUE(successor->detach(uplink_));
    EXPECT_TRUE(successor->guard()->places.empty());
    EXPECT_TRUE(successor->attachments()->empty());
}

TEST_P(GuardAttach, KnowsDevicesWithoutMacHeader) {
    auto plane = loaded();
    set(*plane);
    const TunDevice tun("l3", 1500);
    const auto place = plane->attach_guard(tun.ifindex(), true);
    ASSERT_TRUE(place) << place.error().message();
    EXPECT_EQ(place->mode, GuardMode::tc);
    EXPECT_TRUE(place->attachment.program.ends_with("_l3")) << place->attachment.program;
    EXPECT_FALSE(plane->attach_guard(ifindex_of("lo"), false));
    EXPECT_FALSE(plane->attach_guard(99999, false));
    EXPECT_TRUE(plane->detach_guard(99999));
}

INSTANTIATE_TEST_SUITE_P(Kind, GuardAttach, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Clsact" : "Tcx"; });

}  // namespace wglan::test
