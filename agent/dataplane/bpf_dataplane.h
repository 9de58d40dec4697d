// SPDX-License-Identifier: Apache-2.0
// The Dataplane on the kernel's BPF. Private to this module: dataplane.cpp holds its life and the maps,
// dataplane_attach.cpp the programs' places, dataplane_pods.cpp direct mode, dataplane_guard.cpp the guard.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/dataplane/attach.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/direct.h"
#include "agent/dataplane/guard_attach.h"
#include "agent/dataplane/guard_object.h"
#include "agent/dataplane/hub.h"
#include "agent/dataplane/object.h"
#include "agent/dataplane/replay.h"
#include "agent/dataplane/steering_maps.h"

namespace wglan {

bool delivers_into_pods(const std::vector<Attachment>& attachments);
Result<> detach_all(GuardAttacher& attacher);

class BpfDataplane final : public Dataplane {
public:
    explicit BpfDataplane(DataplaneOptions options)
        : options_(std::move(options)), winning_back_(options_.win_back_every) {}

    Result<> load() override;
    bool adopted() const override { return adopted_; }
    Result<DataplaneState> state() override;
    Result<std::vector<Attachment>> attachments() override;
    Result<bool> holds(const SteerSample& entries) override;
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
    Result<PodReplayVerdict> replay_from_pod(const ReplayPacket& packet, const PodDevice& device) override;
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
    Result<> with_maps(Change change) {
        if (!maps_) return not_loaded();
        return change(*maps_);
    }
    static Failure not_loaded();
    std::vector<Program> programs() const;
    bool to_win_back(const Attachment& attachment) const;
    Result<const Program*> another_instance(int ifindex, const Program& program);
    Result<Attachment> win_back(int ifindex, const Program& program);
    const Program& from_tunnel();
    Result<std::optional<Attachment>> attach_pod(const PodDevice& device);
    Result<> set_macs(const std::set<MacAddress>& macs);

    DataplaneOptions options_;
    std::optional<SteerObject> object_;
    std::optional<SteerObject> second_;  // of the same maps; loaded when a place has to be won back
    WinningBack winning_back_;
    std::optional<DirectObject> direct_;
    std::optional<HubObject> hub_;
    bool hub_asked_ = false;
    std::optional<SteeringMaps> maps_;
    std::optional<Attacher> attacher_;
    std::unique_ptr<Replay> replay_;
    std::unique_ptr<PodReplay> pod_replay_;
    std::optional<GuardObject> guard_object_;
    std::optional<GuardAttacher> guard_attacher_;
    bool adopted_ = false;
    bool take_over_due_ = false;  // at the first attach_*
};

}  // namespace wglan
