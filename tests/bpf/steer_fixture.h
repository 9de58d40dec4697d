// SPDX-License-Identifier: Apache-2.0
// Loads the programs with maps of their own and runs packets through them (BPF_PROG_TEST_RUN).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "agent/dataplane/codec.h"
#include "agent/dataplane/object.h"
#include "tests/bpf/environment.h"
#include "tests/bpf/packet.h"

namespace wglan::test {

enum Verdict : int { kNext = -1, kDrop = 2, kRedirect = 7 };  // TC_ACT_*

struct How {
    const char* program = "wglan_egress";
    std::uint32_t mark = 0;
    std::uint32_t gso_size = 0;  // 0 = not GSO
    int fd = -1;                 // another object's program
    int ifindex = 0;             // 0 = the loopback device
    std::array<std::uint32_t, 3> control_block{};
};

struct Outcome {
    int verdict = 0;
    Bytes packet;
};

// Its peer `kPeer` is up and owns 10.1.0.0/16, fd01::/32 and, for programs that run without a MAC
// header, 8.0.0.0/16 and 2001:db8::/32.
class Steer : public ::testing::Test {
protected:
    static constexpr PeerId kPeer = 7;
    static constexpr std::uint16_t kPort = 51820;
    static constexpr std::uint32_t kMark = 0x10;
    static constexpr int kMtu = 1420;

    void SetUp() override;
    void TearDown() override;

    void route(const std::string& prefix, SteerAction action, PeerId peer = 0, std::uint16_t mtu = 0);
    void peer(PeerState state, Fallback unknown = Fallback::bypass, Fallback down = Fallback::drop);
    // The word on it that look-ups take; peer() says it too.
    void mark_up(PeerId id, bool up);
    void endpoint(SteerEndpoint::Kind kind, const std::string& where, std::uint8_t protocol = 17);
    void endpoint(const SteerEndpoint& one);
    void config(const SteerConfig& config, std::uint64_t heartbeat_ns = 0);
    SteerConfig usual_config() const;
    // Whether answers are kept, from a new generation on; route() and peer() make one as the agent does.
    void cache(bool on);

    // nullopt: this kernel takes no such packet for a test.
    std::optional<Outcome> try_run(const Bytes& packet, const How& how = {});
    Outcome run(const Bytes& packet, const How& how = {});
    // The verdict, and the packet as it was.
    void expect_untouched(const Bytes& packet, Verdict verdict, const How& how = {});
    void expect_becomes(const Bytes& packet, Verdict verdict, const Bytes& after, const How& how = {});

    DataplaneCounters counters() const;
    PeerCounters peer_counters() const;

    const SteerObject& object() const { return *object_; }
    const TunDevice& tunnel() const { return *tunnel_; }

private:
    std::string pins_;
    std::optional<TunDevice> tunnel_;
    std::optional<SteerObject> object_;
    bool caching_ = true;
    std::uint32_t generation_ = 1;
};

}  // namespace wglan::test
