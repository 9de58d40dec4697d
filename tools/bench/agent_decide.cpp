// SPDX-License-Identifier: Apache-2.0
// The agent's own share of a reconciliation, without the kernel: merge, peer
// manager, desired state and diff for 1,000 peers with 2,000 prefixes, from
// nothing and after one peer's change. Prints JSON.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "agent/app/desired.h"
#include "agent/app/secrets.h"
#include "agent/reconcile/part.h"
#include "agent/reconcile/plan.h"

namespace wglan {
namespace {

constexpr int kRuns = 9;
constexpr std::uint32_t kPeers = 1000;

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Prefix net(const std::string& text) { return must(Prefix::parse(text)); }

// Overlay address and one pod prefix: two prefixes a peer.
SourcedRecord record_of(std::uint32_t number) {
    SourcedRecord said;
    said.kind = SourceKind::service;
    said.source = "service:bench";
    Record& record = said.record;
    const std::string seed = "peer " + std::to_string(number);
    const auto hash = sha256({reinterpret_cast<const std::uint8_t*>(seed.data()), seed.size()});
    record.name = "bench-" + std::to_string(number);
    record.public_key = must(public_key_of(hash));
    record.identity = must(identity_of(hash));
    const std::string high = std::to_string(number / 250), low = std::to_string(number % 250);
    char text[64];
    std::snprintf(text, sizeof text, "200:1001::%x:%x", number >> 8U, (number & 0xffU) + 0x100);
    record.address = must(IpAddress::parse(text));
    record.endpoints = {must(HostPort::parse("198.18." + high + "." + low + ":51820"))};
    record.pod_prefixes = {net("10." + high + "." + low + ".0/24")};
    record.sequence = 1;
    return said;
}

// What Agent keeps between reconciliations, with the same calls in the same
// order.
class Node {
public:
    Node() : registry_(policy()), manager_([] { return 0.5; }) {
        must(init_crypto());
        key_ = make_private_key();
        own_.public_key = must(public_key_of(key_.bytes()));
        own_.name = "bench-self";
        own_.address = must(IpAddress::parse("200:1001::1"));
        own_.prefixes = {net("172.16.0.0/24")};
        own_.node_addresses = facts_.all_addresses =
            facts_.node_addresses = {must(IpAddress::parse("192.0.2.1"))};
        own_.networks = facts_.networks = {net("192.0.2.0/24")};
        facts_.uplinks = {{2, "eth0"}};
        config_.peers.when_unknown = Fallback::drop;  // backup routes from the first moment on
        secrets_.set_identity(&key_, own_.public_key);
        secrets_.set_token(std::make_shared<const Secret>(Secret::random(32)), true);
        observed_.interface.emplace();
        observed_.interface->link.ifindex = 7;
        observed_.wireguard.emplace();
        observed_.attachments = {{2, "eth0", Attachment::Hook::tc_egress, Attachment::Kind::tcx, ""},
                                 {7, "wglan0", Attachment::Hook::tc_egress, Attachment::Kind::tcx, ""},
                                 {7, "wglan0", Attachment::Hook::tc_ingress, Attachment::Kind::tcx, ""}};
    }

    void snapshot(std::vector<SourcedRecord> records) { registry_.snapshot("service:bench", records, now()); }
    void put(SourcedRecord record) { registry_.put(std::move(record), now()); }

    // From news to a plan; the times of its parts are added to `parts`.
    Plan reconcile(std::map<std::string, std::vector<double>>& parts) {
        const auto timed = [&parts](const char* part, const std::function<void()>& work) {
            const auto start = std::chrono::steady_clock::now();
            work();
            parts[part].push_back(
                std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        };
        Plan plan;
        Desired wanted;
        timed("total", [&] {
            timed("merge", [&] {
                merged_ = registry_.merge(
                    own_, [this](const PublicKey& key) { return manager_.state(key); }, now());
            });
            timed("secrets", [&] {
                for (const Peer& peer : merged_.peers) must(secrets_.fingerprint_of(peer));
            });
            timed("manager", [&] { tell_manager(); });
            timed("desired", [&] { wanted = desired(merged_.peers); });
            timed("diff", [&] { plan = diff(wanted, observed_); });
        });
        timed("assume", [&] { observed_ = assume_applied(wanted, std::move(observed_)); });
        return plan;
    }

    // The same for one record that was put, as Agent::reconcile_one does it.
    Plan reconcile_one(std::map<std::string, std::vector<double>>& parts) {
        const auto start = std::chrono::steady_clock::now();
        const auto touched = registry_.merge_one(own_, merged_);
        if (!touched) throw std::runtime_error("the record isn't merged alone");
        const auto peer = std::find_if(merged_.peers.begin(), merged_.peers.end(),
                                       [&](const Peer& p) { return p.public_key == touched->key; });
        Desired before = desired(touched->before ? std::vector{*touched->before} : std::vector<Peer>{});
        manager_.set_peer(input_of(*peer), now());
        Desired after = desired({*peer});
        keep_differences(before, after);
        for (const SteerEndpoint& steered : after.steer_endpoints)
            if (manager_.other_at(steered.endpoint.address, touched->key))
                throw std::runtime_error("another peer is at the endpoint");
        Observed part = part_of(observed_, before, after);
        Plan plan = diff(after, part);
        put_back(observed_, before, after, assume_applied(after, std::move(part)));
        parts["total"].push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        return plan;
    }

private:
    static SteadyTime now() { return std::chrono::steady_clock::now(); }
    static RegistryPolicy policy() {
        RegistryPolicy policy;
        policy.overlay = net("200:1001::/64");
        return policy;
    }
    static std::vector<Endpoint> endpoints_of(const Peer& peer) {
        std::vector<Endpoint> list;
        for (const Candidate& candidate : peer.candidates)
            if (const auto endpoint = candidate.where.endpoint()) list.push_back(*endpoint);
        return list;
    }

    static PeerInput input_of(const Peer& peer) {
        PeerInput input;
        input.key = peer.public_key;
        for (const Endpoint& endpoint : endpoints_of(peer)) input.candidates.emplace_back(endpoint);
        return input;
    }

    void tell_manager() {
        std::vector<PeerInput> inputs;
        for (const Peer& peer : merged_.peers) inputs.push_back(input_of(peer));
        manager_.set_peers(inputs, now());
        for (const WgObservedPeer& peer : observed_.wireguard->peers) manager_.observe(peer, now(), 0);
        (void)manager_.tick(now(), 0);
        ids_.keep_only(merged_.peers);
    }

    Desired desired(const std::vector<Peer>& peers) {
        return build_desired({config_,
                              facts_,
                              own_.public_key,
                              own_.address,
                              overlay_,
                              peers,
                              manager_,
                              ids_,
                              [this](const Peer& peer) { return must(secrets_.fingerprint_of(peer)); },
                              endpoints_of,
                              own_.depended_on,
                              {}});
    }

    Registry registry_;
    PeerManager manager_;
    PeerIds ids_;
    AgentSecrets secrets_;
    Secret key_;
    OwnClaims own_;
    HostFacts facts_;
    Config config_;
    Prefix overlay_ = net("200:1001::/64");
    MergeResult merged_;
    Observed observed_;
};

void print(const char* name, std::map<std::string, std::vector<double>>& parts) {
    std::printf("\"%s\":{", name);
    const char* comma = "";
    for (auto& [part, times] : parts) {
        std::sort(times.begin(), times.end());
        std::printf("%s\"%s\":{\"min\":%.3f,\"median\":%.3f,\"max\":%.3f}", comma, part.c_str(),
                    times.front(), times[times.size() / 2], times.back());
        comma = ",";
    }
    std::printf("}");
}

void check(const Plan& plan, std::size_t steering, std::size_t routes) {
    std::size_t steered = 0, routed = 0;
    for (const Step& one : plan) {
        if (const auto* put = std::get_if<step::PutSteerRoutes>(&one)) steered += put->routes.size();
        if (std::holds_alternative<step::AddRoute>(one)) ++routed;
    }
    if (steered < steering || routed < routes)
        throw std::runtime_error("the plan has " + std::to_string(steered) + " steering entries and " +
                                 std::to_string(routed) + " routes");
}

void measure() {
    std::vector<SourcedRecord> records;
    for (std::uint32_t i = 0; i < kPeers; ++i) records.push_back(record_of(i));
    std::map<std::string, std::vector<double>> whole, one;
    for (int run = 0; run < kRuns; ++run) {
        Node node;
        node.snapshot(records);
        check(node.reconcile(whole), 2 * kPeers, kPeers);
        for (std::uint32_t change = 1; change <= kRuns; ++change) {
            SourcedRecord next = records[500];
            next.record.sequence += change;
            next.record.pod_prefixes.push_back(net("10.99." + std::to_string(change) + ".0/24"));
            node.put(next);
            check(node.reconcile_one(one), 1, 1);
        }
    }
    std::printf("{");
    print("whole", whole);
    std::printf(",");
    print("one", one);
    std::printf("}\n");
}

}  // namespace
}  // namespace wglan

int main() {
    try {
        wglan::measure();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "agent_decide: %s\n", problem.what());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
