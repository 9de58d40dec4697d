// SPDX-License-Identifier: Apache-2.0
// The agent: sources on the left, the kernel on the right, and one loop that turns changes of the
// one into plans for the other. All of it runs on one io_context.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "agent/app/cni_keeper.h"
#include "agent/app/desired.h"
#include "agent/app/facts.h"
#include "agent/app/file_watch.h"
#include "agent/app/guard_keeper.h"
#include "agent/app/handshake_clones.h"
#include "agent/app/kernel.h"
#include "agent/app/map_walk.h"
#include "agent/app/names.h"
#include "agent/app/own_record.h"
#include "agent/app/pace.h"
#include "agent/app/packet_monitor.h"
#include "agent/app/peer_news.h"
#include "agent/app/reachability.h"
#include "agent/app/route_health.h"
#include "agent/app/secrets.h"
#include "agent/app/sources.h"
#include "agent/app/state_dir.h"
#include "agent/app/way_opener.h"
#include "agent/control/control_server.h"
#include "agent/control/doctor_view.h"
#include "agent/control/explain.h"
#include "agent/control/metrics_server.h"
#include "agent/control/views.h"
#include "agent/doctor/facts.h"
#include "agent/peers/peer_manager.h"
#include "agent/probe/echo_socket.h"
#include "agent/registry/registry.h"
#include "config/config.h"

namespace wglan {

class Agent final : public ControlProvider {
public:
    Agent(asio::io_context& io, ConfigInput input, LoadedConfig loaded);
    ~Agent() override;

    // Takes the control socket, keys and device and starts everything. An error leaves nothing of
    // this start behind but what the next start would adopt.
    Result<> start();
    // Sources silenced, cache written; the data plane stays as it is.
    void stop();
    // Signed withdrawal at every service (agent.onExit: cleanup).
    Task<void> withdraw();

    StatusView status() override;
    RoutesView routes() override;
    Result<Explanation> explain(const ExplainRequest& request) override;
    Result<RecordView> record() override;
    KeysView keys() override;
    Result<std::shared_ptr<MonitorFeed>> monitor(const MonitorRequest& request) override;
    MetricsView metrics() override;
    Readiness ready() override;
    Result<> reload() override;
    Task<DoctorView> doctor() override;

    const Config& config() const { return config_; }

private:
    using Timer = asio::steady_timer;

    // agent.cpp: start, events
    Result<> open_adapters();
    Result<> open_servers();
    Result<IpAddress> choose_overlay_address();
    void start_sources();
    void watch_netlink();
    void on_netlink();
    void look_at_everything_later();
    void on_source(SourceUpdate update);
    void phase(const char* name, SteadyTime since);

    // agent_timers.cpp
    void poll_later();
    void poll();
    void check_later();
    void drift_later();
    void every_minute();
    void remember_later();
    void look_at_host();
    void look_for_drift();

    // agent_reconcile.cpp: from news to plans
    void mark_dirty();      // everything is to be looked at again
    void reconcile_soon();  // with all that came until then
    void reconcile();
    void reconcile_all();
    bool reconcile_one();
    std::set<Prefix> routed_prefixes() const;
    void retry_later();
    void refresh_record();
    void publish(Record record);
    std::map<std::string, Endpoint> observed_by_us() const;
    bool may_tell_observed();
    bool look_again();
    void merge();
    OwnClaims own_claims() const;
    std::set<std::string> names_in_use() const;
    Desired desired(const std::vector<Peer>& peers);
    bool knowledge_complete() const;
    bool services_heard() const;
    // Applies the plan; true if all of it was done.
    bool carry_out(const Plan& plan, Kernel::Outcome& outcome);
    void note_attachments(const Desired& desired, const std::vector<Attachment>& attached);
    void note_capacity(const Desired& wanted);
    void keep_guard(bool look, bool repairing);
    void note_errors(const std::vector<std::string>& errors);
    void remember();
    bool derive_other_address();
    void observe_device(WgDevice device);
    void observe_peers(const WgDevice& device);

    // agent_facts.cpp
    bool refresh_facts();
    bool is_somebody_in(const GuestNetwork& network) const;
    std::vector<GuestNetwork> guest_networks_in_use() const;
    void look_at_guests();
    void look_for_peers_anew();

    // agent_peers.cpp
    void open_probes();
    void wait_for_echoes();
    void read_echoes();
    void tick_later();
    bool tick_peers();
    void send_probes();
    void begin_afresh(const std::vector<PublicKey>& keys);
    void note_peer_changes(const std::vector<PublicKey>& changed);
    bool inside_a_steered_prefix(const IpAddress& address) const;
    std::vector<PeerCandidate> candidates_of(const Peer& peer) const;
    std::vector<Endpoint> endpoints_of(const Peer& peer) const;
    PeerInput peer_input(const Peer& peer) const;
    std::vector<PeerInput> peer_inputs() const;

    // agent_cluster.cpp: what a cluster's nodes and people need besides
    void begin_with_cached_api_servers();
    void take_assigned_pods(std::vector<Prefix> pods);
    void take_api_servers(std::vector<HostPort> told, bool complete);
    void find_api_servers();
    void find_api_server_owners();
    std::vector<ApiServer> api_servers() const;
    bool holds_api_server(const Peer& peer) const;
    void look_at_api_servers();
    void tell_condition();
    void tell_peer_changes(const std::vector<PeerChange>& changes);
    void tell_refusal(const SourceUpdate& update);

    // agent_clones.cpp
    void clone_handshakes(const PublicKey* one = nullptr);
    void try_again_later();

    // agent_cni.cpp
    void look_at_routes_later();
    void look_at_routes();
    std::optional<RouteFacts> route_facts();
    void note_faults(const std::map<Prefix, std::string>& faults) const;
    std::map<Prefix, CniPrefix> cni_prefixes(const RouteVerdicts& verdicts) const;
    bool cni_unjudged() const;
    bool routes_unjudged() const;
    void look_at_new_routes();
    std::map<Prefix, Holed> holed_prefixes(const std::set<Prefix>& wanted, const RouteVerdicts& verdicts,
                                           const std::vector<Route>& routes) const;
    std::set<Prefix> unspared_prefixes(const std::set<Prefix>& wanted, const Prefix& default6,
                                       const RouteVerdicts& verdicts) const;
    void forget_attachments(int ifindex);
    bool is_hooked(int ifindex, Attachment::Hook hook) const;
    bool all_hooked() const;
    bool cares_for_route(const Prefix& prefix) const;
    void note_cni();
    void on_cni_change();
    void serve_cni();
    std::optional<IpAddress> told_at(const PublicKey& key) const;
    void watch_programs_later();

    // agent_views.cpp
    void look_now();
    std::string why_unused(const Candidate& named, const PeerStatus& status) const;
    std::vector<PeerView> peer_views() const;
    std::map<Prefix, std::string> routes_in_force();
    SteeringView steering_view();
    std::vector<std::string> warnings() const;

    // agent_explain.cpp
    int look_at_pod_side(const ExplainRequest& request, const PodSteering& pods,
                         const std::vector<Link>& links, ExplainState& state);
    Result<ExplainState> explain_state(const ExplainRequest& request);
    void name_path(const ExplainState& state, Explanation& answer) const;
    void confirm(const ExplainRequest& request, const ExplainState& state, Explanation& answer);

    // agent_monitor.cpp
    std::optional<PacketMonitor::Peer> find_peer(PeerId id) const;

    // agent_doctor.cpp
    void serve_reachability();
    std::optional<ReachAsker> find_asker(const IpAddress& overlay) const;
    std::vector<ReachQuestion> reach_questions() const;
    AgentView agent_view() const;
    HostView host_view() const;
    std::vector<Sighting> told_sightings() const;

    asio::io_context& io_;
    ConfigInput input_;
    std::vector<std::string> config_files_;
    std::vector<std::string> config_warnings_;
    Config config_;
    SettingsView settings_;

    StateDir state_dir_;
    Identity identity_;
    AgentSecrets secrets_;
    Prefix overlay_network_;
    IpAddress overlay_;

    std::unique_ptr<Netlink> netlink_;
    std::unique_ptr<NetlinkMonitor> monitor_;
    std::unique_ptr<WireGuard> wireguard_;
    std::unique_ptr<Dataplane> dataplane_;
    PacketMonitor packet_monitor_;
    Reachability reachability_;
    std::unique_ptr<Kernel> kernel_;
    GuardKeeper guard_;
    std::unique_ptr<HttpServer> control_server_;
    std::unique_ptr<HttpServer> metrics_server_;
    std::unique_ptr<SourceSet> sources_;
    std::unique_ptr<FileWatch> file_watch_;
    mutable NameCache names_;

    Registry registry_;
    PeerManager manager_;
    std::unique_ptr<CloneTable> clone_table_;
    std::unique_ptr<SocketWayOpener> way_opener_;
    std::optional<HandshakeClones> clones_;
    struct SecondTry {
        PublicKey key;
        bool other_family = false;
        SteadyTime at{};
    };
    std::vector<SecondTry> second_tries_;  // the earliest first
    std::optional<EchoSocket> echo_socket_;
    std::unique_ptr<asio::posix::stream_descriptor> echo_stream_;
    std::string probe_warning_;
    std::map<PublicKey, PeerState> told_states_;  // in log and events
    PeerIds ids_;
    HostFacts facts_;
    std::vector<GuestNetwork> guest_networks_used_;  // when facts_ were read
    std::vector<IpAddress> reached_;                 // sorted; see look_at_guests()
    RouteHealth route_health_;
    std::map<Prefix, std::string> overridden_;  // prefixes whose route leads nowhere, and why
    std::map<Prefix, Holed> holed_;  // those with excluded parts: whether others have a route for them
    std::set<Prefix> unspared_;      // see unspared_prefixes()
    bool routes_looked_at_ = false;
    CniKeeper cni_;                             // steering.pods: cniDown
    std::map<Prefix, bool> told_cni_;           // what the log says of it: left to the CNI
    std::map<int, std::size_t> programs_seen_;  // of others, at devices that need them
    std::vector<IpAddress> depended_on_;        // of the discovery services
    std::vector<HostPort> api_hosts_;           // as the cluster's source told
    bool api_hosts_complete_ = false;
    std::vector<Endpoint> api_cached_, api_addresses_;  // sorted; before this start, and now
    std::map<IpAddress, PublicKey> api_owners_;         // whose prefixes hold them
    std::vector<ApiServer> api_in_force_;               // as the programs last heard
    std::optional<NodeCondition> told_condition_;
    std::optional<SteadyTime> unready_since_;
    bool pods_are_assigned_ = false;                    // node.podPrefixes: auto
    std::optional<std::vector<Prefix>> assigned_pods_;  // by the cluster
    MergeResult merged_;
    Observed observed_;
    Record own_record_;  // as last published
    NewsPace news_pace_;
    std::uint64_t sequence_ = 0;
    std::map<PublicKey, bool> adopted_up_;  // peers that a predecessor's maps call up or down

    bool observed_valid_ = false;
    bool facts_dirty_ = true;
    bool merge_dirty_ = true;
    bool checking_drift_ = false;  // a full look because something may have been changed by others
    bool dirty_ = false;           // a reconciliation is on its way
    bool all_dirty_ = false;       // ... for more than records that were put
    bool one_put_ = false;         // records were put since the last merge
    bool poll_pending_ = false;
    bool remember_pending_ = false;
    bool tick_pending_ = false;
    bool programs_pending_ = false;
    bool routes_judged_ = false;  // otherwise than before: the next plan follows from that
    bool stopped_ = false;
    bool first_reconcile_done_ = false;
    std::map<std::string, Refusal> source_refusals_;  // by source and peer
    std::vector<std::string> errors_, host_warnings_, capacity_warnings_;

    Timer debounce_, poll_timer_, check_timer_, drift_timer_, minute_timer_, retry_timer_, remember_timer_;
    MapWalk map_walk_;
    PacedWork route_looks_, host_looks_, drift_looks_;  // what events of the kernel ask for
    Timer tick_timer_, observed_timer_, second_try_timer_, programs_timer_;
    std::unique_ptr<asio::posix::stream_descriptor> monitor_stream_;
    Backoff retry_;

    SteadyTime started_{};
    DurationHistogram reconcile_times_;
    std::uint64_t reconcile_errors_ = 0;
    std::uint64_t drift_repairs_ = 0;
    std::map<std::string, double> start_seconds_;
};

}  // namespace wglan
