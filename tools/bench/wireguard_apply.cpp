// SPDX-License-Identifier: Apache-2.0
// How long a WireGuard backend takes for 1,000 peers with 2,000 prefixes into an empty device, and for
// one peer's change, against wg(8) doing the same; median of interleaved runs, as JSON. Needs root.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "agent/wireguard/netlink_codec.h"
#include "agent/wireguard/uapi_codec.h"
#include "agent/wireguard/wireguard.h"
#include "tests/support/netns.h"

namespace wglan {
namespace {

constexpr int kRuns = 5;
constexpr std::uint32_t kPeers = 1000;

struct BenchSecrets final : WgSecrets {
    Secret own = make_private_key();
    std::span<const std::uint8_t> private_key() const override { return own.bytes(); }
    Result<std::optional<WipedKey>> preshared_key(const PublicKey& peer) const override {
        WipedKey key;
        key.bytes = sha256(peer.bytes);
        return std::optional<WipedKey>(std::move(key));
    }
};

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

template <class Work>
double milliseconds(Work work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void command(std::vector<std::string> words) {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    pid_t pid = 0;
    int status = 0;
    if (posix_spawnp(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0)
        throw std::runtime_error("failed: " + words[0]);
}

LinkMaker links() {
    return {[](const std::string& name) -> Result<> {
                command({"ip", "link", "add", name, "type", "wireguard"});
                return {};
            },
            [](const std::string& name) -> Result<> {
                command({"ip", "link", "del", name});
                return {};
            }};
}

std::vector<WgPeerChange> all_peers() {
    std::vector<WgPeerChange> changes;
    for (std::uint32_t i = 0; i < kPeers; ++i) {
        const std::string number = std::to_string(i / 250) + "." + std::to_string(i % 250);
        WgPeerChange change;
        change.kind = WgPeerChange::Kind::add;
        change.key = must(public_key_of(make_private_key().bytes()));
        change.endpoint = must(Endpoint::parse("192.0.2.9:51820"));
        change.keepalive_s = 25;
        change.set_preshared = true;
        change.add_allowed_ips = {must(Prefix::parse("10." + number + ".0/24")),
                                  must(Prefix::parse("10.200." + number + "/32"))};
        changes.push_back(std::move(change));
    }
    return changes;
}

void write_configuration(const char* path, const std::vector<WgPeerChange>& changes,
                         const BenchSecrets& secrets) {
    std::ofstream file(path);
    file << "[Interface]\nPrivateKey = " << private_key_text(secrets.own).text() << "\nListenPort = 51820\n";
    for (const auto& change : changes) {
        const auto preshared = must(secrets.preshared_key(change.key));
        file << "[Peer]\nPublicKey = " << to_string(change.key)
             << "\nPresharedKey = " << base64_encode(preshared->bytes)
             << "\nEndpoint = " << change.endpoint->to_string()
             << "\nPersistentKeepalive = 25\nAllowedIPs = " << change.add_allowed_ips[0].to_string() << ", "
             << change.add_allowed_ips[1].to_string() << '\n';
    }
}

struct Figures {
    std::vector<double> ours, theirs, ours_one, theirs_one;
};

void run_once(WireGuard& wireguard, const std::vector<WgPeerChange>& changes, const BenchSecrets& secrets,
              Figures& figures) {
    WgDeviceChange device;
    device.set_private_key = true;
    device.listen_port = 51820;
    must(wireguard.ensure_device());
    figures.theirs.push_back(milliseconds([] { command({"wg", "setconf", "wg0", "/run/wg0.conf"}); }));
    must(wireguard.remove_device());

    must(wireguard.ensure_device());
    figures.ours.push_back(milliseconds([&] {
        must(wireguard.configure(device, secrets));
        must(wireguard.apply(changes, secrets));
    }));
    if (must(wireguard.dump()).peers.size() != kPeers) throw std::runtime_error("peers are missing");
    const std::string key = to_string(changes[500].key);
    for (int i = 0; i < kRuns; ++i) {
        WgPeerChange one;
        one.key = changes[500].key;
        one.endpoint = must(Endpoint::parse("192.0.2.10:51820"));
        one.add_allowed_ips = {must(Prefix::parse("10.99.0.0/16"))};
        figures.ours_one.push_back(milliseconds([&] { must(wireguard.apply({one}, secrets)); }));
        figures.theirs_one.push_back(milliseconds([&] {
            command({"wg", "set", "wg0", "peer", key, "endpoint", "192.0.2.11:51820", "allowed-ips",
                     "10.2.0.0/24,10.200.2.0/32,10.99.0.0/16"});
        }));
    }
    must(wireguard.remove_device());
}

void measure(const std::string& backend) {
    const test::Host host;
    const BenchSecrets secrets;
    const auto changes = all_peers();
    Figures figures;
    host.inside([&] {
        write_configuration("/run/wg0.conf", changes, secrets);
        auto wireguard =
            backend == "kernel" ? make_kernel_wireguard("wg0", links()) : make_userspace_wireguard("wg0");
        for (int i = 0; i < kRuns; ++i) run_once(*wireguard, changes, secrets, figures);
    });
    const double encode = milliseconds([&] {
        if (backend == "kernel")
            must(encode_peer_changes({1, "wg0"}, changes, secrets, {}));
        else
            must(encode_uapi_changes(changes, secrets, {}));
    });
    std::printf(
        "{\"backend\":\"%s\",\"applyMs\":%.2f,\"setconfMs\":%.2f,\"ratio\":%.2f,\"oneMs\":%.3f,"
        "\"wgSetMs\":%.3f,\"oneRatio\":%.2f,\"ownMs\":%.2f}\n",
        backend.c_str(), median(figures.ours), median(figures.theirs),
        median(figures.ours) / median(figures.theirs), median(figures.ours_one), median(figures.theirs_one),
        median(figures.ours_one) / median(figures.theirs_one), encode);
}

}  // namespace
}  // namespace wglan

int main() {
    try {
        wglan::must(wglan::init_crypto());
        if (const char* reason = wglan::test::no_hosts_reason()) throw std::runtime_error(reason);
        if (wglan::kernel_wireguard_available()) wglan::measure("kernel");
        wglan::measure("userspace");
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "wireguard_apply: %s\n", problem.what());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
