// SPDX-License-Identifier: Apache-2.0
// Whatever the bytes: a verdict that exists, a packet as it was, and dropped is only what is for this
// host's WireGuard port and isn't data.
#include <algorithm>
#include <random>
#include <utility>

#include "tests/bpf/guard_fixture.h"

namespace wglan::test {

namespace {

constexpr std::uint8_t kOwn4Bytes[] = {192, 0, 2, 1};
constexpr std::uint8_t kOwn6Bytes[] = {0x20, 0x01, 0x0d, 0xb8, 0x86, 0xdd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr std::uint8_t kPortBytes[] = {51820 >> 8, 51820 & 0xff};

bool at(const Bytes& frame, std::size_t place, std::span<const std::uint8_t> bytes) {
    return frame.size() >= place + bytes.size() &&
           std::equal(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(place));
}

// Where the UDP header is; 0: there is none that counts. IPv6 with extension headers: anywhere behind.
std::size_t udp_of(const Bytes& frame) {
    if (frame.size() >= 34 && frame[12] == 0x08 && frame[13] == 0 && frame[14] >> 4 == 4 &&
        (frame[14] & 15) >= 5 && frame[23] == 17 && (frame[20] & 0x1f) == 0 && frame[21] == 0)
        return 14 + (frame[14] & 15U) * 4;
    if (frame.size() >= 54 && frame[12] == 0x86 && frame[13] == 0xdd && frame[14] >> 4 == 6) return 54;
    return 0;
}

// Whether the extension headers lead to the packet's end, or are more than are looked through.
bool runs_out(const Bytes& frame) {
    std::uint8_t next = frame[20];
    std::size_t offset = 54;
    for (int i = 0; i < 6; ++i) {
        if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60) break;
        if (frame.size() < offset + 4) return true;
        const std::size_t length = frame[offset + 1];
        const auto now = std::exchange(next, frame[offset]);
        offset += now == 44 ? 8 : now == 51 ? (length + 2) * 4 : (length + 1) * 8;
    }
    return next == 17 ? frame.size() < offset + 8
                      : next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
}

bool may_be_dropped(const Bytes& frame) {
    const auto place = udp_of(frame);
    if (place == 0) return false;
    if (frame[12] == 0x08)
        return at(frame, 30, kOwn4Bytes) && (frame.size() < place + 8 || at(frame, place + 2, kPortBytes));
    if (!at(frame, 38, kOwn6Bytes)) return false;
    if (frame[20] == 17) return frame.size() < place + 8 || at(frame, place + 2, kPortBytes);
    // What ends before its port counts as an initiation.
    if (runs_out(frame)) return true;
    return std::search(frame.begin() + 54, frame.end(), std::begin(kPortBytes), std::end(kPortBytes)) !=
           frame.end();
}

// A data message by all rules, to whomever.
bool is_data(const Bytes& frame) {
    const auto place = udp_of(frame);
    const std::uint8_t type[] = {4, 0, 0, 0};
    if (place == 0 || !at(frame, place + 8, type) || (frame[12] == 0x86 && frame[20] != 17)) return false;
    return (frame[place + 4] << 8 | frame[place + 5]) >= 40;
}

Bytes mutate(Bytes bytes, std::mt19937& random) {
    const auto pick = [&](std::size_t most) {
        return std::uniform_int_distribution<std::size_t>(0, most)(random);
    };
    for (std::size_t changes = pick(5); changes > 0; --changes)
        bytes[pick(std::min<std::size_t>(bytes.size(), 120) - 1)] = static_cast<std::uint8_t>(pick(255));
    if (pick(4) == 0) bytes.resize(std::max<std::size_t>(15, pick(bytes.size())));
    return bytes;
}

}  // namespace

TEST_F(Guard, HoldsForAnyBytes) {
    std::mt19937 random(20261121);  // fixed: a failure can be seen again
    std::vector<Bytes> seeds;
    for (const Bytes& payload : {initiation(), message(2, 92), message(3, 64), data(), filler(40), Bytes{}}) {
        seeds.push_back(frame(v4(payload)));
        seeds.push_back(frame(v6(payload)));
        Ip packet = v4(payload);
        packet.options = Bytes(8, 1);
        seeds.push_back(frame(packet));
        packet = v6(payload);
        packet.first_extension = 0;
        packet.extensions = {44, 0, 5, 2, 0, 0, 1, 0, 60, 0, 0, 1, 0, 0, 0, 9, 17, 0, 1, 4, 0, 0, 0, 0};
        seeds.push_back(frame(packet));
    }
    int ran = 0, drops = 0;
    for (int i = 0; i < 40000; ++i) {
        Bytes packet = mutate(seeds[static_cast<std::size_t>(i) % seeds.size()], random);
        if (i % 8 == 0)  // nothing but noise behind the EtherType
            std::generate(packet.begin() + 14, packet.end(),
                          [&] { return static_cast<std::uint8_t>(random()); });
        for (const Hook hook : {Hook::xdp, Hook::tc}) {
            const Judged judged = judge(hook, packet);
            if (judged.packet.empty()) continue;  // too short for this kernel's test runs
            ++ran;
            ASSERT_NE(judged.ruling, Ruling::none) << to_string(hook) << ' ' << hex(packet);
            ASSERT_EQ(hex(judged.packet), hex(packet)) << to_string(hook);
            if (judged.ruling != Ruling::drop) continue;
            ++drops;
            ASSERT_TRUE(may_be_dropped(packet)) << to_string(hook) << ' ' << hex(packet);
            ASSERT_FALSE(is_data(packet)) << to_string(hook) << ' ' << hex(packet);
        }
    }
    EXPECT_GT(ran, 60000);
    EXPECT_GT(drops, 10000);
}

// XDP and TC are one opinion: what needs no bucket is judged alike.
TEST_F(Guard, JudgesAlikeAtEachHook) {
    settings(1'000'000);
    std::mt19937 random(7);
    for (int i = 0; i < 10000; ++i) {
        const auto length = std::uniform_int_distribution<std::size_t>(0, 200)(random);
        const Bytes payload = message(std::uniform_int_distribution<std::uint32_t>(0, 6)(random), length);
        const Bytes packet = frame(i % 2 == 0 ? v4(payload) : v6(payload));
        ASSERT_EQ(judge(Hook::xdp, packet).ruling, judge(Hook::tc, packet).ruling) << hex(packet);
    }
}

}  // namespace wglan::test
