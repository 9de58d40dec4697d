// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/guard_fixture.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf.h>

#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/codec.h"
#include "tests/bpf/drop_odd.h"

namespace wglan::test {

const char* to_string(Hook hook) { return hook == Hook::xdp ? "xdp" : hook == Hook::tc ? "tc" : "l3"; }

Bytes message(std::uint32_t type, std::size_t length) {
    Bytes bytes = filler(length);
    for (std::size_t i = 0; i < 4 && i < length; ++i) bytes[i] = static_cast<std::uint8_t>(type >> (8 * i));
    return bytes;
}
Bytes initiation() { return message(1, 148); }
Bytes data(std::size_t length) { return message(4, length); }

void Guard::SetUp() {
    pins_ = bpffs() + "/guard";
    ASSERT_TRUE(prepare_pin_path(pins_));
    auto steer = SteerObject::load(pins_, 1024);
    ASSERT_TRUE(steer) << steer.error().message();
    steer_ = std::move(*steer);
    config(kPort);
    reload();
}

void Guard::reload() {
    auto guard = GuardObject::load(pins_, *steer_);
    ASSERT_TRUE(guard) << guard.error().message();
    guard_ = std::move(*guard);
    settings(kRate);
}

void Guard::TearDown() {
    guard_.reset();
    steer_.reset();
    EXPECT_TRUE(remove_pin_path(pins_));
}

void Guard::settings(std::uint32_t rate) {
    const GuardSettings value{rate, {IpAddress::parse(kOwn4).value(), IpAddress::parse(kOwn6).value()}};
    ASSERT_TRUE(guard_->set(value));
    drop_odd(guard_->map_fd("wglan_guard"));
}

void Guard::config(std::uint16_t port, std::uint32_t orphan_after_s) {
    wglan_config value{};
    value.layout_version = WGLAN_LAYOUT_VERSION;
    value.listen_port = port;
    value.orphan_after_s = orphan_after_s;
    ASSERT_TRUE(steer_->tables().config.put(0, value));
}

Ip Guard::v4(const Bytes& payload, const std::string& source) {
    return {.source = source, .destination = kOwn4, .transport = udp(40000, kPort, payload)};
}

Ip Guard::v6(const Bytes& payload, const std::string& source) {
    return {.source = source, .destination = kOwn6, .transport = udp(40000, kPort, payload)};
}

Bytes Guard::on_wire(Hook hook, const Ip& packet) {
    return hook == Hook::l3 ? packet.bytes() : frame(packet);
}

int Guard::program_fd(Hook hook) const {
    return (hook == Hook::xdp ? guard_->xdp() : hook == Hook::tc ? guard_->tc() : guard_->tc_l3()).fd;
}

Judged Guard::judge(Hook hook, const Bytes& packet, std::uint32_t repeat, std::uint32_t segment) const {
    Bytes out(packet.size() + 256);
    __sk_buff context{};
    context.gso_size = segment;
    context.gso_segs = 2;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_out = out.data(),
                .data_size_in = static_cast<__u32>(packet.size()),
                .data_size_out = static_cast<__u32>(out.size()), .repeat = static_cast<int>(repeat));
    if (segment != 0) {
        options.ctx_in = &context;
        options.ctx_size_in = sizeof context;
    }
    if (bpf_prog_test_run_opts(program_fd(hook), &options) != 0) return {};
    out.resize(options.data_size_out);
    const int verdict = static_cast<int>(options.retval);
    const int pass = hook == Hook::xdp ? static_cast<int>(XDP_PASS) : TC_ACT_UNSPEC;
    const int drop = hook == Hook::xdp ? static_cast<int>(XDP_DROP) : TC_ACT_SHOT;
    return {verdict == pass ? Ruling::pass : verdict == drop ? Ruling::drop : Ruling::none, std::move(out)};
}

int Guard::expect(Ruling ruling, const Ip& packet, std::string_view what) const {
    int ran = 0;
    for (const Hook hook : {Hook::xdp, Hook::tc, Hook::l3}) {
        const Bytes before = on_wire(hook, packet);
        const Judged after = judge(hook, before);
        if (after.packet.empty() && before.size() < kShort) continue;
        ++ran;
        EXPECT_EQ(static_cast<int>(after.ruling), static_cast<int>(ruling)) << to_string(hook) << ' ' << what;
        EXPECT_EQ(hex(after.packet), hex(before)) << to_string(hook) << ' ' << what;
    }
    return ran;
}

int Guard::admitted(Hook hook, const Ip& packet, int times) const {
    int count = 0;
    const Bytes bytes = on_wire(hook, packet);
    for (int i = 0; i < times; ++i) count += judge(hook, bytes).ruling == Ruling::pass ? 1 : 0;
    return count;
}

std::uint64_t Guard::dropped(std::string_view reason) const {
    const auto cpus = steer_->tables().stats.get(0);
    return cpus ? decode_counters(*cpus).dropped.at(std::string(reason)) : 0;
}

}  // namespace wglan::test
