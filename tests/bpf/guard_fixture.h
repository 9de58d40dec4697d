// SPDX-License-Identifier: Apache-2.0
// Loads the guard's programs with the steering object's maps and runs packets through them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "agent/dataplane/guard_object.h"
#include "tests/bpf/environment.h"
#include "tests/bpf/packet.h"

namespace wglan::test {

enum class Hook { xdp, tc, l3 };
const char* to_string(Hook hook);

enum class Ruling { pass, drop, none };  // none: no verdict that there is, or the kernel took no such packet

struct Judged {
    Ruling ruling = Ruling::none;
    Bytes packet;
};

// A WireGuard message of that type and length, header included.
Bytes message(std::uint32_t type, std::size_t length);
Bytes initiation();
Bytes data(std::size_t length = 96);

class Guard : public ::testing::Test {
protected:
    static constexpr std::uint16_t kPort = 51820;
    static constexpr const char* kOwn4 = "192.0.2.1";
    static constexpr const char* kOwn6 = "2001:db8:86dd::1";
    static constexpr std::uint32_t kRate = 5;

    void SetUp() override;
    void TearDown() override;

    void reload();  // the guard's programs, with the maps that are pinned
    void settings(std::uint32_t rate);
    void config(std::uint16_t port, std::uint32_t orphan_after_s = 0);

    // From a stranger to this host's WireGuard port. The sources' bytes 12 and 13 of the IP header serve
    // as EtherType where a test run takes the header for a MAC header (Hook::l3).
    static Ip v4(const Bytes& payload, const std::string& source = "8.0.0.9");
    static Ip v6(const Bytes& payload, const std::string& source = "2001:db8:86dd:2::9");
    static Bytes on_wire(Hook hook, const Ip& packet);

    // `segment`: of several datagrams in one, by TC alone; 0 = it is one.
    Judged judge(Hook hook, const Bytes& packet, std::uint32_t repeat = 1, std::uint32_t segment = 0) const;
    // Not every kernel takes packets for a test that are shorter.
    static constexpr std::size_t kShort = 14 + 40;
    // At each hook: the ruling, and the packet as it was. How many hooks that were.
    int expect(Ruling ruling, const Ip& packet, std::string_view what = {}) const;
    int admitted(Hook hook, const Ip& packet, int times) const;
    std::uint64_t dropped(std::string_view reason) const;

    const GuardObject& guard() const { return *guard_; }
    const SteerObject& steer() const { return *steer_; }
    int program_fd(Hook hook) const;

private:
    std::string pins_;
    std::optional<SteerObject> steer_;
    std::optional<GuardObject> guard_;
};

}  // namespace wglan::test
