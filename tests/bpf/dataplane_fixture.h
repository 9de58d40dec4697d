// SPDX-License-Identifier: Apache-2.0
// A Dataplane on devices of its own; by TCX and by clsact filters.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include "agent/dataplane/attach.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/hub.h"
#include "tests/bpf/environment.h"
#include "tests/bpf/packet.h"

namespace wglan::test {

inline constexpr PeerId kPeer = 3;

inline Prefix prefix(const char* text) { return Prefix::parse(text).value(); }

inline std::string text_of(const Result<>& result) { return result ? "" : result.error().message(); }

// What runs at wglan0's ingress without direct mode depends on the kernel.
inline const char* from_tunnel() {
    static const bool hub = HubObject::load([](const char*) { return -1; }).has_value();
    return hub ? kHubTunnelProgram : "wglan_tun_in";
}

// A program of somebody else: lets everything pass.
inline UniqueFd foreign_program() {
    const bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", code, 2, nullptr));
}

class DataplaneTest : public ::testing::TestWithParam<bool> {
protected:
    void SetUp() override {
        pin_path_ = bpffs() + "/plane";
        if (!GetParam() && !Attacher(pin_path_, false).uses_tcx()) GTEST_SKIP() << "this kernel has no TCX";
        uplink_ = make_veth("uplink", "far");
        tunnel_.emplace("tunnel", 1420);
    }
    void TearDown() override {
        EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
        if (uplink_ != 0) remove_link("uplink");
    }

    std::unique_ptr<Dataplane> make(std::uint32_t max_routes = 1024) const {
        auto plane =
            make_dataplane({.pin_path = pin_path_, .force_clsact = GetParam(), .max_routes = max_routes});
        return std::move(*plane);
    }
    std::unique_ptr<Dataplane> loaded(std::uint32_t max_routes = 1024) const {
        auto plane = make(max_routes);
        EXPECT_EQ(text_of(plane->load()), "");
        return plane;
    }
    void fill(Dataplane& plane) const {
        EXPECT_EQ(text_of(plane.set_config(config())), "");
        EXPECT_EQ(text_of(plane.put_peers({peer()})), "");
        EXPECT_EQ(text_of(plane.put_routes({route("10.1.0.0/16")})), "");
    }
    void attach(Dataplane& plane) const {
        EXPECT_TRUE(plane.attach_uplink(uplink_, "uplink"));
        EXPECT_TRUE(plane.attach_tunnel(tunnel_->ifindex(), "tunnel", false));
    }
    SteerConfig config() const {
        return {.interface_ifindex = tunnel_->ifindex(),
                .listen_port = 51820,
                .interface_mtu = 1420,
                .firewall_mark = 0x10,
                .firewall_mark_mask = 0x10,
                .orphan_after_s = 0};
    }
    static SteerPeer peer(PeerState state = PeerState::up) {
        SteerPeer value{kPeer, {}, state, Fallback::bypass, Fallback::drop, "node-b"};
        value.key.bytes[31] = 9;
        return value;
    }
    static SteerRoute route(const char* where) { return {prefix(where), SteerAction::steer, kPeer, 0}; }

    // Sends a packet out of the uplink; true if it went into the tunnel, unchanged.
    bool steers(const char* destination = "10.1.2.3") const {
        const Ip packet{.source = "192.0.2.1", .destination = destination};
        const Bytes bytes = frame(packet);
        send_frame(uplink_, bytes.data(), bytes.size());
        const Bytes sent = packet.bytes();
        return tunnel_->read() == std::string(sent.begin(), sent.end());
    }
    std::vector<Attachment> attachments(Dataplane& plane) const {
        auto state = plane.state();
        EXPECT_TRUE(state);
        return state ? state->attachments : std::vector<Attachment>{};
    }

    std::string pin_path_;
    int uplink_ = 0;
    std::optional<TunDevice> tunnel_;
};

// The parameter: by filters.
inline std::string kind_name(const ::testing::TestParamInfo<bool>& kind) {
    return kind.param ? "Clsact" : "Tcx";
}

}  // namespace wglan::test
