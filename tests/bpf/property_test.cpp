// SPDX-License-Identifier: Apache-2.0
// Whatever the bytes: a verdict that exists; what passes is as it was; who isn't a member isn't steered.
#include <algorithm>
#include <random>

#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

// The destination lies in a steered prefix, as far as an IP header says.
bool to_member(const Bytes& frame) {
    if (frame.size() >= 34 && frame[12] == 0x08 && frame[13] == 0x00)
        return (frame[30] == 10 && frame[31] == 1) || (frame[30] == 8 && frame[31] == 0);
    if (frame.size() >= 54 && frame[12] == 0x86 && frame[13] == 0xdd) {
        const std::uint8_t own[] = {0xfd, 0x01, 0, 0}, documentation[] = {0x20, 0x01, 0x0d, 0xb8};
        return std::memcmp(&frame[38], own, 4) == 0 || std::memcmp(&frame[38], documentation, 4) == 0;
    }
    return false;
}

Bytes mutate(Bytes bytes, std::mt19937& random) {
    const auto pick = [&](std::size_t most) {
        return std::uniform_int_distribution<std::size_t>(0, most)(random);
    };
    for (std::size_t changes = pick(6); changes > 0; --changes)
        bytes[pick(bytes.size() - 1)] = static_cast<std::uint8_t>(pick(255));
    if (pick(4) == 0) bytes.resize(std::max<std::size_t>(15, pick(bytes.size())));
    return bytes;
}

}  // namespace

TEST_F(Steer, HoldsForAnyBytes) {
    std::mt19937 random(20240517);  // fixed: a failure can be seen again
    std::vector<Bytes> seeds;
    for (const char* to : {"10.1.2.3", "198.51.100.9"}) {
        Ip packet{.source = "192.0.2.1", .destination = to};
        seeds.push_back(frame(packet));
        packet.protocol = 6;
        packet.transport = tcp(TcpFlags::syn, mss(1460) + Bytes{4, 2, 1, 3, 3, 7, 1, 1});
        seeds.push_back(frame(packet));
        packet.transport = tcp(TcpFlags::ack, {}, filler(1460));
        seeds.push_back(frame(packet));
    }
    for (const char* to : {"fd01::5", "2001:4860::8888"}) {
        Ip packet{.source = "2001:db8:1::1", .destination = to, .protocol = 58};
        packet.transport = icmp(128);
        seeds.push_back(frame(packet));
        packet.protocol = 6;
        packet.transport = tcp(TcpFlags::syn, mss(1460));
        packet.extensions = {60, 0, 5, 2, 0, 0, 1, 0, 6, 0, 1, 4, 0, 0, 0, 0};
        packet.first_extension = 0;
        seeds.push_back(frame(packet));
    }
    int ran = 0;
    for (int i = 0; i < 20000; ++i) {
        const Bytes packet = mutate(seeds[static_cast<std::size_t>(i) % seeds.size()], random);
        for (const char* program : {"wglan_egress", "wglan_tun_in", "wglan_tun_out"}) {
            const auto outcome = try_run(packet, {.program = program});
            if (!outcome) continue;  // too short for this kernel's test runs
            ++ran;
            const bool egress = std::strcmp(program, "wglan_egress") == 0;
            ASSERT_TRUE(outcome->verdict == kNext || outcome->verdict == kDrop ||
                        (egress && outcome->verdict == kRedirect))
                << program << ' ' << hex(packet) << " -> " << outcome->verdict;
            if (egress && outcome->verdict == kNext) {
                ASSERT_EQ(hex(outcome->packet), hex(packet));
            }
            if (egress && !to_member(packet)) {
                ASSERT_EQ(outcome->verdict, kNext) << hex(packet);
            }
        }
    }
    EXPECT_GT(ran, 30000);
}

}  // namespace wglan::test
