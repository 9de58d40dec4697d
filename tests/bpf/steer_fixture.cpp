// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/steer_fixture.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>

#include <bpf/bpf.h>

#include "agent/dataplane/bpffs.h"
#include "maps/convert.h"

namespace wglan::test {

void Steer::SetUp() {
    tunnel_.emplace("tunnel", kMtu);
    pins_ = bpffs() + "/steer";
    ASSERT_TRUE(prepare_pin_path(pins_));
    auto object = SteerObject::load(pins_, 1024);
    ASSERT_TRUE(object) << object.error().message();
    object_ = std::move(*object);
    config(usual_config());
    peer(PeerState::up);
    ASSERT_TRUE(object_->tables().peer_stats.ensure(kPeer));
    for (const char* prefix : {"10.1.0.0/16", "fd01::/32", "8.0.0.0/16", "2001:db8::/32"})
        route(prefix, SteerAction::steer, kPeer);
}

void Steer::TearDown() {
    object_.reset();
    EXPECT_TRUE(remove_pin_path(pins_));
}

SteerConfig Steer::usual_config() const {
    return {.interface_ifindex = tunnel_->ifindex(),
            .listen_port = kPort,
            .interface_mtu = kMtu,
            .firewall_mark = kMark,
            .firewall_mark_mask = kMark};
}

void Steer::route(const std::string& prefix, SteerAction action, PeerId peer, std::uint16_t mtu) {
    const auto parsed = Prefix::parse(prefix);
    ASSERT_TRUE(parsed);
    const auto value = encode_route({*parsed, action, peer, mtu});
    ASSERT_TRUE(parsed->family() == Family::v4 ? object_->tables().route4.put(to_key4(*parsed), value)
                                               : object_->tables().route6.put(to_key6(*parsed), value));
    if (caching_) cache(true);
}

void Steer::cache(bool on) {
    auto value = object_->tables().config.get(0);
    ASSERT_TRUE(value);
    caching_ = on;
    value->generation = on ? ++generation_ : 0;
    ASSERT_TRUE(object_->tables().config.put(0, *value));
}

void Steer::peer(PeerState state, Fallback unknown, Fallback down) {
    const SteerPeer value{kPeer, {}, state, unknown, down, "peer"};
    ASSERT_TRUE(object_->tables().peers.put(kPeer, encode_peer(value)));
    mark_up(kPeer, state == PeerState::up || state == PeerState::degraded);
    if (caching_) cache(true);
}

void Steer::mark_up(PeerId id, bool up) {
    const int fd = object_->map_fd("wglan_up");
    const std::uint32_t word = id / 64;
    std::uint64_t bits = 0;
    ASSERT_EQ(bpf_map_lookup_elem(fd, &word, &bits), 0);
    const std::uint64_t bit = std::uint64_t{1} << (id % 64);
    bits = up ? bits | bit : bits & ~bit;
    ASSERT_EQ(bpf_map_update_elem(fd, &word, &bits, BPF_ANY), 0);
}

void Steer::endpoint(SteerEndpoint::Kind kind, const std::string& where, std::uint8_t protocol) {
    const auto parsed = Endpoint::parse(where);
    ASSERT_TRUE(parsed);
    endpoint({kind, *parsed, protocol});
}

void Steer::endpoint(const SteerEndpoint& one) {
    const auto [whole, fragment] = encode_endpoint(one);
    ASSERT_TRUE(object_->tables().endpoints.put(whole, {}));
    if (fragment) {
        ASSERT_TRUE(object_->tables().endpoints.put(*fragment, {}));
    }
    auto value = object_->tables().config.get(0);
    ASSERT_TRUE(value);
    const std::uint16_t port = one.endpoint.port;
    if (one.kind == SteerEndpoint::Kind::reach) value->reach_ports[port >> 6U & 3U] |= 1ULL << (port & 63U);
    ASSERT_TRUE(object_->tables().config.put(0, *value));
}

void Steer::config(const SteerConfig& config, std::uint64_t heartbeat_ns) {
    wglan_config value = object_->tables().config.get(0).value_or(wglan_config{});
    encode_config(config, value);
    value.layout_version = WGLAN_LAYOUT_VERSION;
    value.heartbeat_ns = heartbeat_ns;
    value.generation = caching_ ? generation_ : 0;
    ASSERT_TRUE(object_->tables().config.put(0, value));
}

std::optional<Outcome> Steer::try_run(const Bytes& packet, const How& how) {
    __sk_buff context{};
    context.mark = how.mark;
    context.gso_size = how.gso_size;
    context.ifindex = static_cast<__u32>(how.ifindex);
    std::copy(how.control_block.begin(), how.control_block.end(), context.cb);
    context.gso_segs = how.gso_size == 0 ? 0 : 2;
    Bytes out(packet.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_out = out.data(),
                .data_size_in = static_cast<__u32>(packet.size()),
                .data_size_out = static_cast<__u32>(out.size()), .ctx_in = &context,
                .ctx_size_in = sizeof context);
    if (bpf_prog_test_run_opts(how.fd >= 0 ? how.fd : object_->program(how.program).fd, &options) != 0)
        return std::nullopt;
    out.resize(options.data_size_out);
    return Outcome{static_cast<int>(options.retval), std::move(out)};
}

Outcome Steer::run(const Bytes& packet, const How& how) {
    auto outcome = try_run(packet, how);
    EXPECT_TRUE(outcome) << "BPF_PROG_TEST_RUN: errno " << errno;
    return outcome.value_or(Outcome{});
}

void Steer::expect_becomes(const Bytes& packet, Verdict verdict, const Bytes& after, const How& how) {
    const Outcome outcome = run(packet, how);
    EXPECT_EQ(outcome.verdict, verdict);
    EXPECT_EQ(hex(outcome.packet), hex(after));
}

void Steer::expect_untouched(const Bytes& packet, Verdict verdict, const How& how) {
    expect_becomes(packet, verdict, packet, how);
}

DataplaneCounters Steer::counters() const {
    const auto cpus = object_->tables().stats.get(0);
    return cpus ? decode_counters(*cpus) : DataplaneCounters{};
}

PeerCounters Steer::peer_counters() const {
    const auto cpus = object_->tables().peer_stats.get(kPeer);
    return cpus ? decode_peer_counters(*cpus) : PeerCounters{};
}

}  // namespace wglan::test
