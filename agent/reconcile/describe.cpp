// SPDX-License-Identifier: Apache-2.0
#include "agent/reconcile/plan.h"

namespace wglan {
namespace {

using Lines = std::vector<std::string>;

std::string text(const Route& route, const std::string& interface) {
    std::string line;
    if (route.type == RouteType::unreachable) line += "unreachable ";
    if (route.type == RouteType::blackhole) line += "blackhole ";
    line += route.prefix.to_string();
    if (route.gateway) line += " via " + route.gateway->to_string();
    if (route.type == RouteType::unicast) line += " dev " + interface;
    if (route.preferred_source) line += " src " + route.preferred_source->to_string();
    if (route.metric != 0) line += " metric " + std::to_string(route.metric);
    return line;
}

std::string text(const WgPeerChange& change) {
    std::string line = change.kind == WgPeerChange::Kind::add      ? "add"
                       : change.kind == WgPeerChange::Kind::remove ? "remove"
                                                                   : "change";
    line += " peer " + to_string(change.key);
    if (change.endpoint) line += " endpoint " + change.endpoint->to_string();
    if (change.keepalive_s) line += " keepalive " + std::to_string(*change.keepalive_s) + "s";
    if (change.set_preshared) line += " preshared-key";
    for (const Prefix& prefix : change.add_allowed_ips) line += " +" + prefix.to_string();
    for (const Prefix& prefix : change.remove_allowed_ips) line += " -" + prefix.to_string();
    return line;
}

std::string text(const SteerEndpoint& endpoint) {
    // Without ports only tunnels of CNIs are named.
    if (endpoint.endpoint.port == 0)
        return endpoint.endpoint.address.to_string() + " protocol " + std::to_string(endpoint.protocol);
    const char* kind = endpoint.kind == SteerEndpoint::Kind::outer   ? " (WireGuard)"
                       : endpoint.kind == SteerEndpoint::Kind::serve ? " (answers from here)"
                                                                     : " (always reached)";
    return endpoint.endpoint.to_string() + (endpoint.protocol == 6 ? "/tcp" : "/udp") + kind;
}

struct Describe {
    const std::string& interface;
    Lines& out;

    void operator()(const step::CreateInterface& s) const { out.push_back("create interface " + s.name); }
    void operator()(const step::ConfigureWireGuard& s) const {
        std::string line = "configure " + interface;
        if (s.change.set_private_key) line += " private-key";
        if (s.change.listen_port) line += " listen-port " + std::to_string(*s.change.listen_port);
        if (s.change.firewall_mark) line += " firewall-mark " + std::to_string(*s.change.firewall_mark);
        out.push_back(line);
    }
    void operator()(const step::SetMtu& s) const {
        out.push_back("set mtu " + std::to_string(s.mtu) + " on " + interface);
    }
    void operator()(const step::SetNoLinkLocal&) const {
        out.push_back("set no link-local addresses on " + interface);
    }
    void operator()(const step::SetUp&) const { out.push_back("set " + interface + " up"); }
    void operator()(const step::SetRpFilter& s) const {
        out.push_back("set rp_filter " + std::to_string(s.mode) + " on " + interface);
    }
    void operator()(const step::SetForwarding& s) const {
        out.push_back(std::string("set forwarding of ") + (s.family == Family::v4 ? "IPv4" : "IPv6") +
                      " on " + interface);
    }
    void operator()(const step::AddAddress& s) const { out.push_back("add address " + text(s.address)); }
    void operator()(const step::RemoveAddress& s) const {
        out.push_back("remove address " + text(s.address));
    }
    void operator()(const step::ChangePeers& s) const {
        for (const WgPeerChange& change : s.changes) out.push_back(wglan::text(change));
    }
    void operator()(const step::PutSteerConfig& s) const {
        out.push_back("set steering to interface " + std::to_string(s.config.interface_ifindex) + " port " +
                      std::to_string(s.config.listen_port) + " mtu " +
                      std::to_string(s.config.interface_mtu));
    }
    void operator()(const step::PutSteerPeers& s) const {
        for (const SteerPeer& peer : s.peers)
            out.push_back("set steering of peer " + std::to_string(peer.id) + " (" + peer.name + ") to " +
                          std::string(to_string(peer.state)));
    }
    void operator()(const step::RemoveSteerPeers& s) const {
        for (const PeerId id : s.ids) out.push_back("remove steering of peer " + std::to_string(id));
    }
    void operator()(const step::PutSteerEndpoints& s) const {
        for (const SteerEndpoint& endpoint : s.endpoints)
            out.push_back("never steer " + wglan::text(endpoint));
    }
    void operator()(const step::RemoveSteerEndpoints& s) const {
        for (const SteerEndpoint& endpoint : s.endpoints)
            out.push_back("no more exempt from steering: " + wglan::text(endpoint));
    }
    void operator()(const step::PutSteerRoutes& s) const {
        for (const SteerRoute& route : s.routes) {
            std::string line(to_string(route.action));
            line += " " + route.prefix.to_string();
            if (route.peer != 0) line += " to peer " + std::to_string(route.peer);
            out.push_back(line);
        }
    }
    void operator()(const step::RemoveSteerRoutes& s) const {
        for (const Prefix& prefix : s.prefixes) out.push_back("stop steering " + prefix.to_string());
    }
    void operator()(const step::AttachUplink& s) const {
        out.push_back("attach wglan_egress to " + s.uplink.name);
    }
    void operator()(const step::AttachTunnel& s) const {
        out.push_back("attach " + std::string(s.direct ? kDirectTunnelProgram : "wglan_tun_in") +
                      " and wglan_tun_out to " + s.tunnel.name);
    }
    void operator()(const step::PutPods& s) const {
        for (const PodDevice& device : s.devices)
            out.push_back((device.runs_program() ? "attach " + std::string(kPodProgram) + " to "
                                                 : "deliver into pods by ") +
                          device.name);
        if (s.devices.empty()) out.push_back("addresses of pods' bridges: " + std::to_string(s.macs.size()));
    }
    void operator()(const step::RemovePods& s) const {
        for (const PodDevice& device : s.devices)
            out.push_back("no more direct: pods behind " +
                          (device.name.empty() ? "ifindex " + std::to_string(device.ifindex) : device.name));
    }
    void operator()(const step::SetOwnPods& s) const {
        std::string line = s.own.empty() ? "all pods by the host's stack" : "direct for pods in";
        for (const Prefix& prefix : s.own) line += " " + prefix.to_string();
        out.push_back(std::move(line));
    }
    void operator()(const step::DetachUplink& s) const {
        out.push_back("detach wglan_egress from " + s.name);
    }
    void operator()(const step::AddRoute& s) const {
        out.push_back("add route " + wglan::text(s.route, interface));
    }
    void operator()(const step::RemoveRoute& s) const {
        out.push_back("remove route " + wglan::text(s.route, interface));
    }

private:
    std::string text(const DesiredAddress& address) const {
        return address.address.to_string() + "/" + std::to_string(address.prefix_length) + " on " + interface;
    }
};

}  // namespace

std::vector<std::string> describe(const Plan& plan, const std::string& interface) {
    std::vector<std::string> lines;
    for (const Step& step : plan) std::visit(Describe{interface, lines}, step);
    return lines;
}

}  // namespace wglan
