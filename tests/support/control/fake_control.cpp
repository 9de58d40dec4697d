// SPDX-License-Identifier: Apache-2.0
#include "tests/support/control/fake_control.h"

namespace wglan::test {
namespace {

PeerView sample_peer(const char* name, std::uint8_t number) {
    PeerView peer;
    std::string digit = std::to_string(number);
    peer.name = name;
    peer.public_key = test_key(number);
    peer.address = address(("200:1001::" + digit).c_str());
    peer.prefixes = {
        {prefix(("10.244." + digit + ".0/24").c_str()), PrefixClass::pod, "service:discovery:51821"},
        {prefix(("192.0.2." + digit + "/32").c_str()), PrefixClass::node, "service:discovery:51821"}};
    peer.sources = {"service:discovery:51821", "cache"};
    peer.endpoint = endpoint(("192.0.2." + digit + ":51820").c_str());
    return peer;
}

}  // namespace

PublicKey test_key(std::uint8_t byte) {
    PublicKey key;
    key.bytes.fill(byte);
    return key;
}

Prefix prefix(const char* text) { return Prefix::parse(text).value(); }
IpAddress address(const char* text) { return IpAddress::parse(text).value(); }
Endpoint endpoint(const char* text) { return Endpoint::parse(text).value(); }

StatusView sample_status() {
    StatusView view;
    view.version = "0.1.0";
    view.pid = 1234;
    view.uptime = Seconds(192);
    view.node = {"node1", test_key(1), address("200:1001::1"), "wglan0", 51820,
                 1420,    "kernel",    Seconds(7200)};
    view.sources = {{"static", SourceState::synced, 1, kNow - 190, ""},
                    {"service:discovery:51821", SourceState::degraded, 2, kNow - 60, "connection refused"}};

    PeerView up = sample_peer("node2", 2);
    up.state = PeerState::up;
    up.reason = "handshake 12s ago";
    up.last_handshake = kNow - 12;
    up.rtt_ms = 0.42;
    up.min_rtt_ms = 0.31;
    up.probe_loss = 0.0625;
    up.rx_bytes = 1'258'291;
    up.tx_bytes = 2048;
    up.endpoint_changes = 1;
    up.candidates = {
        {HostPort::parse("192.0.2.2:51820").value(), CandidateSource::roamed, "handshake", 1.0, 0.42, {}},
        {HostPort::parse("node2.example:51820").value(),
         CandidateSource::announced,
         "not tried",
         {},
         {},
         Seconds(5)}};
    PeerView down = sample_peer("node3", 3);
    down.state = PeerState::down;
    down.reason = "no handshake since 5m0s";
    down.last_handshake = kNow - 300;
    down.next_try = Seconds(4);
    view.peers = {up, down};

    view.refused = {{"node9", "10.244.2.0/24", "node2 holds it and is up"}};
    view.steering.attachments = {
        {2, "eth0", Attachment::Hook::tc_egress, Attachment::Kind::tcx, "wglan_egress"},
        {3, "wglan0", Attachment::Hook::tc_egress, Attachment::Kind::tcx, "wglan_tun_out"},
        {3, "wglan0", Attachment::Hook::tc_ingress, Attachment::Kind::tcx, "wglan_tun_in"}};
    view.steering.prefixes4 = 4;
    view.steering.prefixes6 = 2;
    view.steering.counters = {12000, 345, 99000, 7,
                              2,     3,   11,    {{"peer_down", 5}, {"quarantined", 0}, {"loop", 1}}};
    view.steering.guard.enabled = true;
    view.steering.guard.handshakes_per_s = 50;
    GuardPlace guarded;
    guarded.attachment = {2, "eth0", Attachment::Hook::tc_ingress, Attachment::Kind::tcx, "wglan_guard_tc"};
    guarded.note = "another XDP program (filter, id 9) is there";
    view.steering.guard.places = {guarded};
    view.settings = {"/etc/wglan/config.yaml", kNow - 192, ""};
    view.warnings = {"IPv6 forwarding is off on eth0: pods of other nodes can't be reached over it"};
    return view;
}

MonitorEvent sample_drop() {
    PacketEvent packet;
    packet.kind = PacketEvent::Kind::drop;
    packet.time_us = kNow * 1'000'000 + 250'000;
    packet.ifindex = 2;
    packet.peer = 2;
    packet.reason = "peer_down";
    packet.protocol = 6;
    packet.source = address("10.244.1.5");
    packet.destination = address("10.244.3.7");
    packet.source_port = 40000;
    packet.destination_port = 80;
    packet.length = 60;
    return {packet, "node3", test_key(3), "eth0"};
}

RoutesView sample_routes() {
    RoutesView view;
    view.routes = {
        {prefix("10.244.2.0/24"),
         "node2",
         SteerAction::steer,
         1420,
         "service:discovery:51821",
         PrefixClass::pod,
         1234567,
         "",
         {KernelRouteView::State::present, 2147483632, "wglan0", false, "", "via 192.0.2.2 dev eth0"}},
        {prefix("10.244.3.0/24"),
         "node3",
         SteerAction::steer,
         1420,
         "service:discovery:51821",
         PrefixClass::pod,
         0,
         "",
         {KernelRouteView::State::missing, 0, "", false, "", ""}},
        {prefix("169.254.169.254/32"), "", SteerAction::pass, 0, "configuration", {}, {}, "", {}},
        {prefix("192.0.2.2/32"),
         "node2",
         SteerAction::steer,
         1420,
         "service:discovery:51821",
         PrefixClass::node,
         7,
         "",
         {KernelRouteView::State::not_wanted, 0, "", false, "", "dev eth0"}}};
    view.refused = {{"node9", "10.244.2.0/24", "node2 holds it and is up"}};
    return view;
}

DoctorView sample_doctor() {
    DoctorView view;
    view.version = "0.1.0";
    view.findings = {{"kernel", FindingStatus::pass, "Linux 6.12.0: BTF, TCX", ""},
                     {"mtu", FindingStatus::warn, "cni0 leads to pods with MTU 1500, wglan0 has 1420",
                      "set the CNI's MTU to 1420"},
                     {"port", FindingStatus::fail, "203.0.113.7:51820 is not reachable", "let UDP in"}};
    NatVerdict nat;
    nat.mapping = NatMapping::endpoint_independent;
    nat.keeps_port = true;
    nat.seen = {endpoint("203.0.113.7:51820")};
    nat.peers = {"node2"};
    view.nat = {nat};
    AskedPeerView asked;
    asked.peer = "node2";
    asked.endpoint = endpoint("198.51.100.2:51820");
    asked.status = "knocked";
    asked.seen = endpoint("203.0.113.7:51820");
    asked.clock_offset_s = -3;
    asked.knocks = {{"node2", asked.endpoint, *asked.seen, false, KnockResult::Outcome::filtered}};
    AskedPeerView silent;
    silent.peer = "node3";
    silent.endpoint = endpoint("198.51.100.3:51820");
    silent.status = "noAnswer";
    view.asked = {asked, silent};
    view.interface = "wglan0";
    view.listen_port = 51820;
    view.firewall_mark = view.firewall_mark_mask = 0x10;
    return view;
}

FakeControl::FakeControl()
    : status_view(sample_status()), routes_view(sample_routes()), doctor_view(sample_doctor()) {
    Record record;
    record.name = "node1";
    record.public_key = test_key(1);
    record.identity.bytes.fill(9);
    record.address = address("200:1001::1");
    record.endpoints = {HostPort::parse("192.0.2.1:51820").value(),
                        HostPort::parse("[2001:db8::1]:51820").value()};
    record.node_addresses = {address("192.0.2.1"), address("2001:db8::1")};
    record.pod_prefixes = {prefix("10.244.1.0/24"), prefix("fd00:244:1::/64")};
    record.labels = {{"zone", "fra1"}};
    record.sequence = 7;
    record.issued = kNow - 100;
    record_view = RecordView{record, {"service:discovery:51821"}};
    keys_view = {test_key(1),
                 record.identity,
                 Seconds(7200),
                 kNow - 7200,
                 "/var/lib/wglan/private.key",
                 "/var/lib/wglan/identity.key"};

    metrics_view.version = "0.1.0";
    metrics_view.backend = "kernel";
    metrics_view.peers = status_view.peers;
    metrics_view.sources = status_view.sources;
    metrics_view.steering = status_view.steering;
    metrics_view.reconcile.observe(0.003);
    metrics_view.reconcile.observe(7);
    metrics_view.paths = {100, 3, 7, 4, 5, 6, 2};
    metrics_view.reconcile_errors = 1;
    metrics_view.drift_repairs = 3;
    metrics_view.start_seconds = {{"config", 0.01}, {"ready", 0.2}};
    readiness = {true, ""};

    SteerRoute to_pods{prefix("10.244.2.0/24"), SteerAction::steer, 1, 0};
    explain_state.routes = {{to_pods.prefix, to_pods}};
    SteerPeer peer;
    peer.id = 1;
    peer.name = "node2";
    peer.state = PeerState::up;
    explain_state.peers = {{1, peer}};
    explain_state.config.interface_ifindex = 3;
    explain_state.config.interface_mtu = 1420;
    explain_state.config.listen_port = 51820;
    explain_state.config.firewall_mark = 0x10;
    explain_state.config.firewall_mark_mask = 0x10;
    explain_state.attachments = status_view.steering.attachments;
    explain_state.interface = "wglan0";
    explain_state.local_addresses = {address("192.0.2.1")};
    Route route;
    route.prefix = prefix("0.0.0.0/0");
    route.ifindex = 2;
    route.gateway = address("192.0.2.254");
    explain_state.kernel_route = route;
    explain_state.kernel_device = "eth0";
}

Result<Explanation> FakeControl::explain(const ExplainRequest& request) {
    asked = request;
    return wglan::explain(request, explain_state);
}

Result<std::shared_ptr<MonitorFeed>> FakeControl::monitor(const MonitorRequest& request) {
    watched = request;
    MonitorFilter filter{request.drops, {}};
    for (const PeerView& peer : status_view.peers)
        if (peer.name == request.peer) filter.peer = peer.public_key;
    if (!request.peer.empty() && !filter.peer)
        return fail(ErrorKind::not_found, "no peer named " + request.peer);
    return hub.open(executor, filter);
}

}  // namespace wglan::test
