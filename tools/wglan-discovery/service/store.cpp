// SPDX-License-Identifier: Apache-2.0
#include "tools/wglan-discovery/service/store.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace wglan::discovery_service {
namespace {

// What an entry costs besides its text: the node and its expiry, or the event and its order.
constexpr std::size_t kNodeOverhead = 512;
constexpr std::size_t kEventOverhead = 256;

EntryJson render(const NodeEntry& entry) {
    NodeEntry copy = entry;
    copy.envelope.member_key.reset();  // readers know it from the token
    return std::make_shared<const std::string>(node_entry_json(copy));
}

std::array<std::uint8_t, 32> digest_of(const std::string& cluster, const NodeEntry& entry) {
    const auto& e = entry.envelope;
    return sha256(as_bytes(
        signed_bytes(e.kind(), cluster, entry.node, e.sequence, e.issued, e.ttl_seconds, e.payload)));
}

PutOutcome refuse(PutOutcome::Status status, std::string message) {
    PutOutcome outcome;
    outcome.status = status;
    outcome.message = std::move(message);
    return outcome;
}

}  // namespace

PutOutcome Store::put(const std::string& id, const NodeEntry& entry, SteadyTime now) {
    using Status = PutOutcome::Status;
    const auto& envelope = entry.envelope;
    Cluster* cluster = find(id);
    if (cluster == nullptr && !envelope.member_key)
        return refuse(Status::unknown_member, "\"memberKey\": needed at a cluster's first write");
    const MemberKey member = cluster != nullptr ? cluster->member : *envelope.member_key;
    if (envelope.member_key && *envelope.member_key != member)
        return refuse(Status::bad_signature,
                      "\"memberKey\": this cluster has another one; is the token the same?");
    if (auto good = verify_envelope(id, entry.node, envelope, member); !good)
        return refuse(Status::bad_signature, good.error().message());

    Node node;
    node.sequence = envelope.sequence;
    node.digest = digest_of(id, entry);
    node.tombstone = envelope.kind() == EnvelopeKind::remove;
    node.observed = entry.observed_address;
    if (cluster != nullptr) {
        auto known = cluster->nodes.find(entry.node);
        if (known != cluster->nodes.end() && known->second.sequence >= node.sequence) {
            Node& stored = known->second;
            if (stored.sequence > node.sequence || stored.digest != node.digest) {
                auto outcome =
                    refuse(Status::conflict, stored.sequence > node.sequence
                                                 ? "a higher sequence is stored"
                                                 : "the same sequence is stored with other content");
                outcome.sequence = stored.sequence;
                return outcome;
            }
            refresh(*cluster, stored, entry, now);
            return {Status::refreshed, revision_, stored.sequence, {}};
        }
    }
    node.entry = render(entry);
    if (auto full = make_room(cluster, entry, node.entry->size()))
        return refuse(*full, *full == Status::cluster_full ? "the cluster is full" : "the service is full");
    if (cluster == nullptr) cluster = make_cluster(id, member);
    replace(*cluster, entry, std::move(node), expiry_of(envelope, now));
    return {Status::stored, revision_, envelope.sequence, {}};
}

SteadyTime Store::expiry_of(const Envelope& envelope, SteadyTime now) const {
    return now +
           (envelope.kind() == EnvelopeKind::remove ? limits_.tombstone_ttl : Seconds(envelope.ttl_seconds));
}

Store::Cluster* Store::find(const std::string& id) const {
    auto found = clusters_.find(id);
    return found == clusters_.end() ? nullptr : found->second.get();
}

Store::Cluster* Store::make_cluster(const std::string& id, const MemberKey& member) {
    auto cluster = std::make_unique<Cluster>();
    cluster->id = id;
    cluster->member = member;
    cluster->forgotten = dropped_floor_;
    return (clusters_[id] = std::move(cluster)).get();
}

std::optional<PutOutcome::Status> Store::make_room(Cluster* cluster, const NodeEntry& entry,
                                                   std::size_t size) {
    using Status = PutOutcome::Status;
    const bool tombstone = entry.envelope.kind() == EnvelopeKind::remove;
    if (cluster == nullptr) {
        if (clusters_.size() >= limits_.clusters && !idle_.empty()) drop_cluster(*idle_.begin()->second);
        if (clusters_.size() >= limits_.clusters) return Status::service_full;
    } else {
        auto known = cluster->nodes.find(entry.node);
        const bool have = known != cluster->nodes.end();
        const std::size_t live = cluster->nodes.size() - cluster->tombstones;
        if (!tombstone && live >= limits_.nodes && !(have && !known->second.tombstone))
            return Status::cluster_full;
        if (tombstone && cluster->tombstones >= limits_.nodes && !(have && known->second.tombstone)) {
            auto oldest = cluster->nodes.end();
            for (auto it = cluster->nodes.begin(); it != cluster->nodes.end(); ++it)
                if (it->second.tombstone && (oldest == cluster->nodes.end() ||
                                             it->second.expiry->first < oldest->second.expiry->first))
                    oldest = it;
            if (oldest != cluster->nodes.end()) erase(*cluster, IdentityKey(oldest->first));
        }
    }
    const std::size_t need = 2 * size + kNodeOverhead + kEventOverhead;
    while (bytes_ + need > limits_.bytes && !order_.empty()) trim_history();
    if (bytes_ + need > limits_.bytes) return Status::service_full;
    return std::nullopt;
}

void Store::replace(Cluster& cluster, const NodeEntry& entry, Node node, SteadyTime expiry) {
    erase(cluster, entry.node);
    if (cluster.idle) {
        idle_.erase(*cluster.idle);
        cluster.idle.reset();
    }
    bytes_ += node.entry->size() + kNodeOverhead;
    cluster.tombstones += node.tombstone ? 1 : 0;
    tombstones_ += node.tombstone ? 1 : 0;
    nodes_ += node.tombstone ? 0 : 1;
    node.expiry = expiries_.emplace(expiry, ExpiryKey{&cluster, entry.node});
    record(cluster, node.tombstone ? WatchEvent::Type::remove : WatchEvent::Type::put, false, node.entry);
    cluster.nodes.emplace(entry.node, std::move(node));
}

void Store::refresh(Cluster& cluster, Node& node, const NodeEntry& entry, SteadyTime now) {
    expiries_.erase(node.expiry);
    node.expiry = expiries_.emplace(expiry_of(entry.envelope, now), ExpiryKey{&cluster, entry.node});
    if (node.observed == entry.observed_address) return;
    // Who lists from now on sees the new address; nobody is woken for it.
    bytes_ -= node.entry->size();
    node.observed = entry.observed_address;
    node.entry = render(entry);
    bytes_ += node.entry->size();
}

void Store::record(Cluster& cluster, WatchEvent::Type type, bool expired, EntryJson entry) {
    bytes_ += entry->size() + kEventOverhead;
    cluster.history.push_back({++revision_, type, expired, std::move(entry)});
    order_.emplace_back(revision_, cluster.id);
    if (cluster.history.size() > limits_.history) forget_oldest(cluster);
    while (order_.size() > limits_.total_history) trim_history();
}

void Store::forget_oldest(Cluster& cluster) {
    const Event& oldest = cluster.history.front();
    bytes_ -= oldest.entry->size() + kEventOverhead;
    cluster.forgotten = oldest.revision;
    cluster.history.pop_front();
}

// The oldest event of all; its cluster may have forgotten it, or be gone.
void Store::trim_history() {
    auto [revision, id] = std::move(order_.front());
    order_.pop_front();
    Cluster* cluster = find(id);
    if (cluster != nullptr && !cluster->history.empty() && cluster->history.front().revision == revision)
        forget_oldest(*cluster);
}

void Store::erase(Cluster& cluster, const IdentityKey& id) {
    auto found = cluster.nodes.find(id);
    if (found == cluster.nodes.end()) return;
    const Node& node = found->second;
    bytes_ -= node.entry->size() + kNodeOverhead;
    (node.tombstone ? tombstones_ : nodes_) -= 1;
    cluster.tombstones -= node.tombstone ? 1 : 0;
    expiries_.erase(node.expiry);
    cluster.nodes.erase(found);
}

void Store::expire_node(const ExpiryKey& key, SteadyTime now, std::set<std::string>& changed) {
    Cluster& cluster = *key.cluster;
    const IdentityKey id = key.node;
    const bool tombstone = cluster.nodes.at(id).tombstone;
    erase(cluster, id);
    if (!tombstone) {
        auto entry = std::make_shared<const std::string>(fmt::format("{{\"node\":\"{}\"}}", to_string(id)));
        record(cluster, WatchEvent::Type::remove, true, std::move(entry));
        changed.insert(cluster.id);
    }
    if (cluster.nodes.empty()) cluster.idle = idle_.emplace(now + limits_.idle_cluster_ttl, &cluster);
}

std::vector<std::string> Store::expire(SteadyTime now) {
    std::set<std::string> changed;
    while (!expiries_.empty() && expiries_.begin()->first <= now) {
        const ExpiryKey key = expiries_.begin()->second;
        expire_node(key, now, changed);
    }
    while (!idle_.empty() && idle_.begin()->first <= now) drop_cluster(*idle_.begin()->second);
    return {changed.begin(), changed.end()};
}

std::optional<SteadyTime> Store::next_expiry() const {
    std::optional<SteadyTime> next;
    if (!expiries_.empty()) next = expiries_.begin()->first;
    if (!idle_.empty() && (!next || idle_.begin()->first < *next)) next = idle_.begin()->first;
    return next;
}

void Store::drop_cluster(Cluster& cluster) {
    if (!cluster.history.empty()) dropped_floor_ = std::max(dropped_floor_, cluster.history.back().revision);
    dropped_floor_ = std::max(dropped_floor_, cluster.forgotten);
    while (!cluster.history.empty()) forget_oldest(cluster);
    if (cluster.idle) idle_.erase(*cluster.idle);
    clusters_.erase(std::string(cluster.id));
}

Snapshot Store::snapshot(const std::string& id) const {
    Snapshot out;
    out.revision = revision_;
    if (const Cluster* cluster = find(id); cluster != nullptr)
        for (const auto& [key, node] : cluster->nodes)
            (node.tombstone ? out.tombstones : out.nodes).push_back(node.entry);
    return out;
}

std::optional<std::vector<Event>> Store::since(const std::string& id, std::uint64_t revision,
                                               std::size_t most) const {
    const Cluster* cluster = find(id);
    if (revision < (cluster != nullptr ? cluster->forgotten : dropped_floor_)) return std::nullopt;
    std::vector<Event> out;
    if (cluster == nullptr) return out;
    auto first = std::upper_bound(cluster->history.begin(), cluster->history.end(), revision,
                                  [](std::uint64_t r, const Event& event) { return r < event.revision; });
    for (; first != cluster->history.end() && out.size() < most; ++first) out.push_back(*first);
    return out;
}

Result<std::uint64_t> Store::parse_revision(std::string_view text) const {
    const auto dash = text.rfind('-');
    const auto digits = dash == std::string_view::npos ? std::string_view{} : text.substr(dash + 1);
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (text.size() > kMaxRevision || digits.empty() || error != std::errc{} ||
        end != digits.data() + digits.size())
        return fail(ErrorKind::invalid, "not a revision; take it from a list or a watch");
    if (text.substr(0, dash) != epoch_ || number > revision_)
        return fail(ErrorKind::not_found, "revision of another run of this service; list again");
    return number;
}

StoreStats Store::stats() const { return {clusters_.size(), nodes_, tombstones_, bytes_}; }

std::string event_line(const Event& event, const std::string& revision) {
    return fmt::format("{{\"type\":\"{}\",\"revision\":\"{}\",{}\"node\":{}}}\n",
                       event.type == WatchEvent::Type::put ? "put" : "delete", revision,
                       event.expired ? "\"expired\":true," : "", *event.entry);
}

std::string bookmark_line(const std::string& revision) {
    return fmt::format("{{\"type\":\"bookmark\",\"revision\":\"{}\"}}\n", revision);
}

}  // namespace wglan::discovery_service
