// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/wireguard/node.h"

#include <cstdlib>

namespace wglan::test {
namespace {

LinkMaker links() {
    const auto ip = [](const std::string& arguments) -> Result<> {
        if (std::system(("ip link " + arguments).c_str()) == 0) return {};
        return fail(ErrorKind::io, "ip link " + arguments);
    };
    return {[ip](const std::string& name) { return ip("add " + name + " type wireguard"); },
            [ip](const std::string& name) {
                const bool there = std::system(("ip link show " + name + " >/dev/null 2>&1").c_str()) == 0;
                return there ? ip("del " + name) : Result<>{};
            }};
}

// Why this backend can't be tried here, or "".
std::string missing(const std::string& backend) {
    if (const char* reason = no_hosts_reason()) return std::string("no namespaces: ") + reason;
    if (backend == "kernel" && !kernel_wireguard_available()) return "this kernel has no WireGuard";
    if (backend == "userspace" &&
        std::system("command -v wireguard-go >/dev/null && test -c /dev/net/tun") != 0)
        return "no wireguard-go, or no /dev/net/tun";
    return {};
}

}  // namespace

Result<std::optional<WipedKey>> NodeSecrets::preshared_key(const PublicKey& peer) const {
    const auto found = preshared.find(peer);
    if (found == preshared.end()) return std::nullopt;
    WipedKey key;
    key.bytes = found->second;
    return std::optional<WipedKey>(std::move(key));
}

Node::Node(const std::string& backend) : kind_(backend) { new_backend(); }

Node::~Node() {
    host.inside([&] { static_cast<void>(backend_->remove_device()); });
}

void Node::new_backend() {
    backend_ =
        kind_ == "kernel" ? make_kernel_wireguard(kDevice, links()) : make_userspace_wireguard(kDevice);
}

Result<> Node::result_of(const std::function<Result<>(WireGuard&)>& call) const {
    Result<> result;
    host.inside([&] { result = call(*backend_); });
    return result;
}

bool Node::ensure() {
    bool made = false;
    const Result<> done = result_of([&](WireGuard& wireguard) -> Result<> {
        auto ensured = wireguard.ensure_device();
        if (!ensured) return tl::make_unexpected(ensured.error());
        made = *ensured;
        return {};
    });
    EXPECT_TRUE(done) << done.error().message();
    return made;
}

void Node::configure(std::uint16_t port) {
    WgDeviceChange change;
    change.set_private_key = true;
    change.listen_port = port;
    const Result<> done =
        result_of([&](WireGuard& wireguard) { return wireguard.configure(change, secrets); });
    EXPECT_TRUE(done) << done.error().message();
}

void Node::start(std::uint16_t port, const std::vector<std::string>& addresses) {
    ensure();
    configure(port);
    for (const std::string& address : addresses) host.run("ip address add " + address + " dev wg0");
    host.run("ip link set wg0 mtu 1420 up && ip route add 10.9.0.0/16 dev wg0");
}

void Node::apply(const std::vector<WgPeerChange>& changes) {
    const Result<> done = result_of([&](WireGuard& wireguard) { return wireguard.apply(changes, secrets); });
    EXPECT_TRUE(done) << done.error().message();
}

WgDevice Node::dump() {
    WgDevice device;
    const Result<> done = result_of([&](WireGuard& wireguard) -> Result<> {
        auto dumped = wireguard.dump();
        if (!dumped) return tl::make_unexpected(dumped.error());
        device = std::move(*dumped);
        return {};
    });
    EXPECT_TRUE(done) << done.error().message();
    return device;
}

WgObservedPeer Node::peer(const PublicKey& key) {
    for (auto& entry : dump().peers)
        if (entry.peer.key == key) return entry;
    ADD_FAILURE() << "no peer " << to_string(key);
    return {};
}

std::vector<Prefix> prefixes_of(const std::vector<std::string>& texts) {
    std::vector<Prefix> result;
    for (const std::string& text : texts) result.push_back(Prefix::parse(text).value());
    return result;
}

WgPeerChange add_peer(const PublicKey& key, const std::string& endpoint,
                      const std::vector<std::string>& prefixes) {
    WgPeerChange change;
    change.kind = WgPeerChange::Kind::add;
    change.key = key;
    if (!endpoint.empty()) change.endpoint = Endpoint::parse(endpoint).value();
    change.set_preshared = true;
    change.add_allowed_ips = prefixes_of(prefixes);
    return change;
}

WgPeerChange update_peer(const PublicKey& key) {
    WgPeerChange change;
    change.key = key;
    return change;
}

void WithBackend::SetUp() {
    ASSERT_TRUE(init_crypto());
    if (const std::string reason = missing(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
}

void WithUserspace::SetUp() {
    ASSERT_TRUE(init_crypto());
    if (const std::string reason = missing("userspace"); !reason.empty()) GTEST_SKIP() << reason;
}

}  // namespace wglan::test
