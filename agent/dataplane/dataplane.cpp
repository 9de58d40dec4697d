// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/dataplane.h"

#include <utility>

#include "agent/base/log.h"
#include "agent/dataplane/bpf_dataplane.h"
#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/clsact.h"
#include "agent/dataplane/codec.h"

namespace wglan {

Failure BpfDataplane::not_loaded() { return fail(ErrorKind::internal, "the BPF programs aren't loaded"); }

Result<const Tables*> BpfDataplane::tables() const {
    if (!object_) return not_loaded();
    return &object_->tables();
}

Result<> BpfDataplane::load() {
    if (object_) return {};
    if (auto prepared = prepare_pin_path(options_.pin_path); !prepared) return prepared;
    auto object = SteerObject::load(options_.pin_path, options_.max_routes);
    if (!object) return Failure(object.error());
    attacher_.emplace(options_.pin_path, options_.force_clsact);
    guard_attacher_.emplace(options_.pin_path, options_.force_clsact, options_.win_back_every);
    object_ = std::move(*object);
    adopted_ = object_->maps() == SteerObject::Maps::adopted || object_->maps() == SteerObject::Maps::carried;
    take_over_due_ = !adopted_;
    auto maps = SteeringMaps::open(*object_, options_.exact_from);
    if (!maps) return Failure(maps.error());
    maps_ = std::move(*maps);
    if (direct_is_pinned(options_.pin_path))
        if (auto loaded = load_direct(); !loaded)
            spdlog::warn("pods go by the host's stack now: {}", loaded.error().message());
    return adopted_ ? take_over() : Result<>{};
}

Result<DataplaneState> BpfDataplane::state() {
    if (!maps_) return not_loaded();
    auto state = maps_->read();
    if (!state) return state;
    auto ours = attachments();
    if (!ours) return Failure(ours.error());
    state->attachments = std::move(*ours);
    if (direct_) {
        auto pods = read_pods(direct_->tables());
        if (!pods) return Failure(pods.error());
        state->pods = std::move(*pods);
    }
    state->pods.direct = delivers_into_pods(state->attachments);
    return state;
}

Result<bool> BpfDataplane::holds(const SteerSample& entries) {
    if (!maps_) return not_loaded();
    return maps_->holds(entries);
}

Result<> BpfDataplane::set_config(const SteerConfig& config) {
    return with_maps([&](SteeringMaps& maps) { return maps.set_config(config); });
}

Result<> BpfDataplane::put_clones(const CloneList& list) {
    return with_maps([&](SteeringMaps& maps) { return maps.put_clones(list); });
}

Result<> BpfDataplane::remove_clones(const Endpoint& used) {
    return with_maps([&](SteeringMaps& maps) { return maps.remove_clones(used); });
}

Result<> BpfDataplane::heartbeat() {
    return with_maps([](SteeringMaps& maps) { return maps.heartbeat(); });
}

Result<> BpfDataplane::put_routes(const std::vector<SteerRoute>& routes) {
    return with_maps([&](SteeringMaps& maps) { return maps.put_routes(routes); });
}

Result<> BpfDataplane::remove_routes(const std::vector<Prefix>& prefixes) {
    return with_maps([&](SteeringMaps& maps) { return maps.remove_routes(prefixes); });
}

Result<> BpfDataplane::put_peers(const std::vector<SteerPeer>& peers) {
    return with_maps([&](SteeringMaps& maps) { return maps.put_peers(peers); });
}

Result<> BpfDataplane::remove_peers(const std::vector<PeerId>& ids) {
    return with_maps([&](SteeringMaps& maps) { return maps.remove_peers(ids); });
}

Result<> BpfDataplane::put_endpoints(const std::vector<SteerEndpoint>& endpoints) {
    return with_maps([&](SteeringMaps& maps) { return maps.put_endpoints(endpoints); });
}

Result<> BpfDataplane::remove_endpoints(const std::vector<SteerEndpoint>& endpoints) {
    return with_maps([&](SteeringMaps& maps) { return maps.remove_endpoints(endpoints); });
}

Result<ReplayVerdict> BpfDataplane::replay(const ReplayPacket& packet) {
    const auto open = tables();
    if (!open) return Failure(open.error());
    if (!replay_) {
        auto loaded = Replay::load(**open);
        if (!loaded) return fail_with(loaded, "load the steering program for a test");
        replay_ = std::move(*loaded);
    }
    return replay_->egress(packet);
}

Result<DataplaneCounters> BpfDataplane::counters() {
    const auto open = tables();
    if (!open) return Failure(open.error());
    const auto cpus = (*open)->stats.get(0);
    if (!cpus) return Failure(cpus.error());
    auto counters = decode_counters(*cpus);
    if (!direct_) return counters;
    const auto direct = direct_->tables().stats.get(0);
    if (!direct) return Failure(direct.error());
    for (const wglan_direct_stats& cpu : *direct) {
        counters.direct_sent += cpu.sent;
        counters.direct_delivered += cpu.delivered;
        counters.direct_known += cpu.known;
    }
    return counters;
}

Result<RouteHits> BpfDataplane::route_hits() {
    if (!maps_) return not_loaded();
    return maps_->hits();
}

Result<PeerCounters> BpfDataplane::peer_counters(PeerId id) {
    const auto open = tables();
    if (!open) return Failure(open.error());
    const auto cpus = (*open)->peer_stats.get(id);
    if (!cpus) return Failure(cpus.error());
    return decode_peer_counters(*cpus);
}

Result<EventReader> BpfDataplane::events() {
    if (!object_) return not_loaded();
    return EventReader::open(object_->map_fd("wglan_events"));
}

Result<> BpfDataplane::report_events(Seconds time) {
    return with_maps([&](SteeringMaps& maps) {
        maps.report_events(time);
        return Result<>{};
    });
}

Result<std::unique_ptr<Dataplane>> make_dataplane(DataplaneOptions options) {
    if (options.pin_path.empty() || options.pin_path.front() != '/')
        return fail(ErrorKind::invalid, "bpf.pinPath must be an absolute path");
    if (options.max_routes == 0) return fail(ErrorKind::invalid, "room for no routes");
    return std::make_unique<BpfDataplane>(std::move(options));
}

Result<DataplaneState> peek_dataplane(const std::string& pin_path) {
    const auto tables = open_pinned_tables(pin_path);
    DataplaneState state;
    if (tables) {
        auto read = read_tables(*tables);
        if (!read) return read;
        state = std::move(*read);
    } else if (tables.error().kind() == ErrorKind::permission) {
        return Failure(tables.error());
    }
    auto found = Attacher(pin_path, false).find();
    if (!found) return Failure(found.error());
    for (FoundAttachment& one : *found) state.attachments.push_back(std::move(one.attachment));
    if (const auto direct = open_pinned_direct(pin_path)) {
        auto pods = read_pods(*direct);
        if (!pods) return Failure(pods.error());
        state.pods = std::move(*pods);
    }
    state.pods.direct = delivers_into_pods(state.attachments);
    return state;
}

Result<> remove_dataplane(const std::string& pin_path) {
    Attacher attacher(pin_path, false);
    auto found = attacher.find();
    if (!found) return Failure(found.error());
    for (const FoundAttachment& one : *found)
        if (auto detached = attacher.detach(one.attachment.ifindex); !detached) return detached;
    GuardAttacher guard(pin_path, false);
    if (auto detached = detach_all(guard); !detached) return detached;
    if (auto removed = remove_own_clsacts(pin_path + "/" + kLinksDirectory); !removed) return removed;
    return remove_pin_path(pin_path);
}

}  // namespace wglan
