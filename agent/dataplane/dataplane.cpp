// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/dataplane.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "agent/base/log.h"
#include "agent/dataplane/attach.h"
#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/codec.h"
#include "agent/dataplane/device.h"
#include "agent/dataplane/direct.h"
#include "agent/dataplane/guard_attach.h"
#include "agent/dataplane/guard_object.h"
#include "agent/dataplane/hub.h"
#include "agent/dataplane/object.h"
#include "agent/dataplane/replay.h"
#include "agent/dataplane/steering_maps.h"

namespace wglan {

namespace {

constexpr const char* kTunnelProgram = "wglan_tun_in";

Result<> detach_all(GuardAttacher& attacher) {
    const auto places = attacher.find({});
    if (!places) return Failure(places.error());
    for (const GuardPlace& place : *places)
        if (auto detached = attacher.detach(place.attachment.ifindex); !detached) return detached;
    return {};
}

bool delivers_into_pods(const std::vector<Attachment>& attachments) {
    return std::any_of(attachments.begin(), attachments.end(),
                       [](const Attachment& a) { return a.program == kDirectTunnelProgram; });
}

class BpfDataplane final : public Dataplane {
public:
    explicit BpfDataplane(DataplaneOptions options) : options_(std::move(options)) {}

    Result<> load() override;
    bool adopted() const override { return adopted_; }
    Result<DataplaneState> state() override;
    Result<std::vector<Attachment>> attachments() override;
    Result<> set_config(const SteerConfig& config) override;
    Result<> put_routes(const std::vector<SteerRoute>& routes) override;
    Result<> remove_routes(const std::vector<Prefix>& prefixes) override;
    Result<> put_peers(const std::vector<SteerPeer>& peers) override;
    Result<> remove_peers(const std::vector<PeerId>& ids) override;
    Result<> put_endpoints(const std::vector<SteerEndpoint>& endpoints) override;
    Result<> remove_endpoints(const std::vector<SteerEndpoint>& endpoints) override;
    Result<> put_clones(const CloneList& list) override;
    Result<> remove_clones(const Endpoint& used) override;
    Result<> heartbeat() override;
    Result<Attachment> attach_uplink(int ifindex, const std::string& name) override;
    Result<std::vector<Attachment>> attach_tunnel(int ifindex, const std::string& name, bool direct) override;
    Result<> load_direct() override;
    Result<std::vector<Attachment>> put_pods(const std::vector<PodDevice>& devices,
                                             const std::set<MacAddress>& macs) override;
    Result<> remove_pods(const std::vector<int>& ifindexes) override;
    Result<> set_own_pods(const std::set<Prefix>& own) override;
    Result<> detach(int ifindex) override;
    Result<ReplayVerdict> replay(const ReplayPacket& packet) override;
    Result<DataplaneCounters> counters() override;
    Result<RouteHits> route_hits() override;
    Result<PeerCounters> peer_counters(PeerId id) override;
    Result<GuardState> guard() override;
    Result<> set_guard(const GuardSettings& settings) override;
    Result<GuardPlace> attach_guard(int ifindex, bool physical) override;
    Result<> detach_guard(int ifindex) override;
    Result<> drop_guard() override;
    Result<EventReader> events() override;
    Result<> report_events(Seconds time) override;

private:
    Result<> take_over();
    Result<> take_over_if_due();
    Result<const Tables*> tables() const;
    template <class Change>
    Result<> with_maps(Change change);
    std::vector<Program> programs() const;
    const Program& from_tunnel();
    Result<std::optional<Attachment>> attach_pod(const PodDevice& device);
    Result<> set_macs(const std::set<MacAddress>& macs);

    DataplaneOptions options_;
    std::optional<SteerObject> object_;
    std::optional<DirectObject> direct_;
    std::optional<HubObject> hub_;
    bool hub_asked_ = false;
    std::optional<SteeringMaps> maps_;
    std::optional<Attacher> attacher_;
    std::unique_ptr<Replay> replay_;
    std::optional<GuardObject> guard_object_;
    std::optional<GuardAttacher> guard_attacher_;
    GuardSettings guard_settings_;
    bool adopted_ = false;
    bool take_over_due_ = false;  // at the first attach_*
};

Result<const Tables*> BpfDataplane::tables() const {
    if (!object_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    return &object_->tables();
}

template <class Change>
Result<> BpfDataplane::with_maps(Change change) {
    if (!maps_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    return change(*maps_);
}

Result<> BpfDataplane::load() {
    if (object_) return {};
    if (auto prepared = prepare_pin_path(options_.pin_path); !prepared) return prepared;
    auto object = SteerObject::load(options_.pin_path, options_.max_routes);
    if (!object) return Failure(object.error());
    attacher_.emplace(options_.pin_path, options_.force_clsact);
    guard_attacher_.emplace(options_.pin_path, options_.force_clsact);
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

// A link update is atomic: each packet runs either the old program or ours, both complete.
Result<> BpfDataplane::take_over() {
    auto successors = programs();
    std::erase_if(successors, [](const Program& program) {
        return program.name == kTunnelProgram || program.name == kHubTunnelProgram;
    });
    // Where there is no direct mode a predecessor's delivery into pods ends here; its pods' programs are
    // detached.
    for (const char* name : {kTunnelProgram, kHubTunnelProgram, kDirectTunnelProgram}) {
        if (direct_ && name == kDirectTunnelProgram) continue;
        Program successor = from_tunnel();
        successor.name = name;
        successors.push_back(std::move(successor));
    }
    if (auto updated = attacher_->update_all(successors, options_.order_first); !updated)
        return fail_with(updated, "take over the running data plane");
    if (object_->maps() == SteerObject::Maps::carried || object_->maps() == SteerObject::Maps::unfilled)
        if (auto exchanged = exchange_maps(options_.pin_path); !exchanged) return exchanged;
    return direct_ ? direct_->pin_maps(options_.pin_path) : Result<>{};
}

std::vector<Program> BpfDataplane::programs() const {
    auto all = object_->programs();
    if (direct_) all.insert(all.end(), direct_->programs().begin(), direct_->programs().end());
    if (hub_) all.push_back(hub_->program());
    return all;
}

// At wglan0's ingress without direct mode. The stack forwards where the better one can't be had.
const Program& BpfDataplane::from_tunnel() {
    if (!hub_asked_) {
        hub_asked_ = true;
        auto hub = HubObject::load([this](const char* name) { return object_->map_fd(name); });
        if (hub)
            hub_ = std::move(*hub);
        else
            spdlog::debug("what goes from peer to peer is forwarded by the host's stack: {}",
                          hub.error().message());
    }
    return hub_ ? hub_->program() : object_->program(kTunnelProgram);
}

Result<> BpfDataplane::take_over_if_due() {
    if (!object_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    if (!take_over_due_) return {};
    if (auto taken = take_over(); !taken) return taken;
    take_over_due_ = false;
    return {};
}

Result<DataplaneState> BpfDataplane::state() {
    if (!maps_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
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

Result<std::vector<Attachment>> BpfDataplane::attachments() {
    if (!attacher_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    auto found = attacher_->find();
    if (!found) return Failure(found.error());
    std::vector<Attachment> ours;
    const auto loaded = programs();
    for (FoundAttachment& one : *found)
        if (std::any_of(loaded.begin(), loaded.end(),
                        [&](const Program& program) { return program.id == one.program_id; }))
            ours.push_back(std::move(one.attachment));
    if (guard_object_) {
        auto guarded = guard_attacher_->find(guard_object_->programs());
        if (!guarded) return Failure(guarded.error());
        for (GuardPlace& place : *guarded)
            if (place.current) ours.push_back(std::move(place.attachment));
    }
    std::sort(ours.begin(), ours.end());
    return ours;
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

Result<Attachment> BpfDataplane::attach_uplink(int ifindex, const std::string& name) {
    if (auto due = take_over_if_due(); !due) return Failure(due.error());
    const auto type = hardware_type(ifindex);
    if (!type) return fail_with(type, "attach to " + name);
    const PacketKind kind = packets_of(*type);
    if (kind == PacketKind::unknown)
        return fail(ErrorKind::unsupported, "attach to " + name + ": a device of type " +
                                                std::to_string(*type) + " can't be an uplink");
    const char* program = kind == PacketKind::frames ? "wglan_egress" : "wglan_egress_l3";
    return attacher_->attach(ifindex, Attachment::Hook::tc_egress, object_->program(program),
                             options_.order_first);
}

Result<std::vector<Attachment>> BpfDataplane::attach_tunnel(int ifindex, const std::string& name,
                                                            bool direct) {
    if (auto due = take_over_if_due(); !due) return Failure(due.error());
    if (direct)
        if (auto loaded = load_direct(); !loaded) return Failure(loaded.error());
    const Program& in = direct ? direct_->program(kDirectTunnelProgram) : from_tunnel();
    std::vector<Attachment> attachments;
    for (const auto& [hook, program] :
         {std::pair{Attachment::Hook::tc_egress, &object_->program("wglan_tun_out")},
          std::pair{Attachment::Hook::tc_ingress, &in}}) {
        auto attached = attacher_->attach(ifindex, hook, *program, false);
        if (!attached) return fail_with(attached, "attach to " + name);
        attachments.push_back(std::move(*attached));
    }
    return attachments;
}

Result<> BpfDataplane::load_direct() {
    if (!object_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    if (direct_) return {};
    auto object =
        DirectObject::load(options_.pin_path, [this](const char* name) { return object_->map_fd(name); });
    if (!object) return Failure(object.error());
    direct_ = std::move(*object);
    return {};
}

// nullopt: the device is gone, or its packets carry no MAC header: pods behind it go by the stack.
Result<std::optional<Attachment>> BpfDataplane::attach_pod(const PodDevice& device) {
    const auto type = hardware_type(device.ifindex);
    if (!type) return std::nullopt;
    if (packets_of(*type) != PacketKind::frames) return std::nullopt;
    auto attached =
        attacher_->attach(device.ifindex, Attachment::Hook::tc_ingress, direct_->program(kPodProgram), false);
    if (attached) return std::optional(std::move(*attached));
    if (!hardware_type(device.ifindex)) return std::nullopt;
    return Failure(attached.error());
}

Result<std::vector<Attachment>> BpfDataplane::put_pods(const std::vector<PodDevice>& devices,
                                                       const std::set<MacAddress>& macs) {
    if (auto due = take_over_if_due(); !due) return Failure(due.error());
    if (auto loaded = load_direct(); !loaded) return Failure(loaded.error());
    if (auto set = set_macs(macs); !set) return Failure(set.error());
    std::vector<Attachment> attachments;
    std::optional<Error> first;
    const auto put = [&](const PodDevice& device) {
        auto done = direct_->tables().pods.put(static_cast<__u32>(device.ifindex), encode_pod(device));
        if (!done && !first) first = done.error();
    };
    for (const PodDevice& device : devices) {
        if (!device.runs_program()) continue;
        auto attached = attach_pod(device);
        if (!attached && !first) first = attached.error();
        if (!attached || !*attached) continue;
        attachments.push_back(std::move(**attached));
        put(device);
    }
    for (const PodDevice& device : devices)
        if (!device.runs_program() && !first) put(device);
    if (first) return Failure(*first);
    return attachments;
}

Result<> BpfDataplane::set_macs(const std::set<MacAddress>& macs) {
    const auto& table = direct_->tables().macs;
    const auto found = table.dump();
    if (!found) return Failure(found.error());
    const auto key_of = [](const MacAddress& mac) {
        wglan_mac key{};
        std::copy(mac.begin(), mac.end(), key.mac);
        return key;
    };
    for (const MacAddress& mac : macs)
        if (auto put = table.put(key_of(mac), 1); !put) return put;
    for (const auto& [key, value] : *found) {
        MacAddress mac;
        std::copy(std::begin(key.mac), std::end(key.mac), mac.begin());
        if (macs.contains(mac)) continue;
        if (auto removed = table.remove(key); !removed) return removed;
    }
    return {};
}

Result<> BpfDataplane::remove_pods(const std::vector<int>& ifindexes) {
    if (!attacher_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    if (direct_)
        for (const int ifindex : ifindexes)
            if (auto removed = direct_->tables().pods.remove(static_cast<__u32>(ifindex)); !removed)
                return removed;
    for (const int ifindex : ifindexes)
        if (auto detached = attacher_->detach(ifindex, Attachment::Hook::tc_ingress); !detached)
            return detached;
    return {};
}

Result<> BpfDataplane::set_own_pods(const std::set<Prefix>& own) {
    if (own.empty() && !direct_) return {};
    if (auto loaded = load_direct(); !loaded) return loaded;
    return direct_->tables().own.put(0, encode_own(own));
}

Result<> BpfDataplane::detach(int ifindex) {
    if (!attacher_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    if (auto detached = guard_attacher_->detach(ifindex); !detached) return detached;
    return attacher_->detach(ifindex);
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
    if (!maps_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    return maps_->hits();
}

Result<PeerCounters> BpfDataplane::peer_counters(PeerId id) {
    const auto open = tables();
    if (!open) return Failure(open.error());
    const auto cpus = (*open)->peer_stats.get(id);
    if (!cpus) return Failure(cpus.error());
    return decode_peer_counters(*cpus);
}

Result<GuardState> BpfDataplane::guard() {
    if (!guard_attacher_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    GuardState state;
    if (guard_object_ && guard_object_->up_to_date()) state.settings = guard_settings_;
    auto places = guard_attacher_->find(guard_object_ ? guard_object_->programs() : std::vector<Program>{});
    if (!places) return Failure(places.error());
    state.places = std::move(*places);
    return state;
}

Result<> BpfDataplane::set_guard(const GuardSettings& settings) {
    // Its programs read the steering programs' settings: those of the maps that are in force.
    if (auto due = take_over_if_due(); !due) return due;
    if (!guard_object_ || !guard_object_->up_to_date()) {
        auto object = GuardObject::load(options_.pin_path, *object_);
        if (!object) return Failure(object.error());
        guard_object_ = std::move(*object);
    }
    if (auto set = guard_object_->set(settings); !set) return set;
    guard_settings_ = settings;
    return {};
}

Result<GuardPlace> BpfDataplane::attach_guard(int ifindex, bool physical) {
    if (!guard_object_) return fail(ErrorKind::internal, "the guard isn't loaded");
    return guard_attacher_->attach(ifindex, *guard_object_, physical);
}

Result<> BpfDataplane::detach_guard(int ifindex) {
    if (!guard_attacher_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    return guard_attacher_->detach(ifindex);
}

Result<> BpfDataplane::drop_guard() {
    if (!guard_attacher_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    if (auto dropped = detach_all(*guard_attacher_); !dropped) return dropped;
    guard_object_.reset();
    return GuardObject::unpin(options_.pin_path);
}

Result<EventReader> BpfDataplane::events() {
    if (!object_) return fail(ErrorKind::internal, "the BPF programs aren't loaded");
    return EventReader::open(object_->map_fd("wglan_events"));
}

Result<> BpfDataplane::report_events(Seconds time) {
    return with_maps([&](SteeringMaps& maps) {
        maps.report_events(time);
        return Result<>{};
    });
}

}  // namespace

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

Result<GuardState> peek_guard(const std::string& pin_path) {
    auto places = GuardAttacher(pin_path, false).find({});
    if (!places) return Failure(places.error());
    GuardState state{GuardObject::peek(pin_path), std::move(*places)};
    // Whose program it is only its own process knows; the next agent takes it over as it stands.
    for (GuardPlace& place : state.places) place.current = true;
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
    return remove_pin_path(pin_path);
}

}  // namespace wglan
