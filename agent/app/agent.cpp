// SPDX-License-Identifier: Apache-2.0
#include "agent/app/agent.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "agent/app/privileges.h"
#include "agent/app/wiring.h"

namespace wglan {
namespace {

constexpr Milliseconds kPredecessorLeaves{1500};
constexpr Milliseconds kWithdrawLimit{6000};  // the pod is killed after 10 s
// What events ask for is done at once, and then at a pace (pace.h). A CNI that writes thousands of routes
// costs one look at them in this time.
constexpr Milliseconds kRouteLooks{25}, kRouteLooksMost{10000};
constexpr Milliseconds kHostLooksMost{25};     // uplinks are followed within 100 ms
constexpr Milliseconds kDriftLooksMost{1000};  // what is ours is back within 2 s

Result<std::unique_ptr<WireGuard>> choose_backend(const Config& config, Netlink& netlink) {
    const LinkMaker links{[&netlink](const std::string& name) { return netlink.create_wireguard(name); },
                          [&netlink](const std::string& name) { return netlink.remove_link(name); }};
    const bool in_kernel = config.interface.backend != Backend::userspace && kernel_wireguard_available();
    if (config.interface.backend == Backend::kernel && !in_kernel)
        return fail(ErrorKind::unsupported,
                    "interface.backend is kernel, but this kernel has no WireGuard (modprobe wireguard?)");
    if (in_kernel) return make_kernel_wireguard(config.interface.name, links);
    return config.interface.external_wireguard_go ? make_external_wireguard(config.interface.name)
                                                  : make_userspace_wireguard(config.interface.name);
}

bool concerns_sources(const std::string& key) {
    return key.starts_with("discovery") || key.starts_with("interface.firewallMark") ||
           key == "enableAutomaticNodes";
}

}  // namespace

Agent::Agent(asio::io_context& io, ConfigInput input, LoadedConfig loaded)
    : io_(io),
      input_(std::move(input)),
      config_files_(std::move(loaded.files)),
      config_warnings_(std::move(loaded.warnings)),
      config_(std::move(loaded.config)),
      state_dir_(config_.interface.private_key_file),
      overlay_network_(overlay_network_of(config_)),
      packet_monitor_(io, [this](PeerId id) { return find_peer(id); }),
      reachability_(io, [this](const IpAddress& overlay) { return find_asker(overlay); }),
      names_(
          io, [this] { return config_.interface.firewall_mark; }, [this] { mark_dirty(); }),
      registry_(policy_of(config_, overlay_network_)),
      manager_(random_unit),
      cni_(io, {[this](const IpAddress& overlay) {
                    const auto asker = find_asker(overlay);
                    return asker ? std::optional(asker->key) : std::nullopt;
                },
                [this](const PublicKey& key) { return told_at(key); }, [this] { on_cni_change(); }}),
      debounce_(io),
      poll_timer_(io),
      check_timer_(io),
      drift_timer_(io),
      minute_timer_(io),
      retry_timer_(io),
      remember_timer_(io),
      route_looks_(io, {kRouteLooks, kRouteLooksMost}, [this] { look_at_routes(); }),
      host_looks_(io, {Milliseconds(0), kHostLooksMost}, [this] { look_at_host(); }),
      drift_looks_(io, {Milliseconds(0), kDriftLooksMost}, [this] { look_for_drift(); }),
      tick_timer_(io),
      observed_timer_(io),
      second_try_timer_(io),
      programs_timer_(io),
      retry_(Milliseconds(500), Milliseconds(15000), random_unit) {
    pods_are_assigned_ = !config_.node.pod_prefixes;
    settings_.file = input_.file;
    settings_.loaded = system_clock().unix_now();
}

Agent::~Agent() { stop(); }

void Agent::phase(const char* name, SteadyTime since) {
    start_seconds_[name] = std::chrono::duration<double>(system_clock().now() - since).count();
}

Result<> Agent::start() {
    started_ = system_clock().now();
    for (const std::string& warning : config_warnings_) spdlog::warn("{}", warning);
    if (auto allowed = check_privileges(); !allowed) return allowed;
    // The control socket is taken first: a second agent must not touch the first one's device.
    if (auto opened = open_servers(); !opened) return opened;
    SteadyTime since = system_clock().now();
    auto identity = state_dir_.identity(config_.interface.private_key.get());
    if (!identity) return Failure(identity.error());
    identity_ = std::move(*identity);
    if (auto locked = state_dir_.lock(kPredecessorLeaves); !locked) return locked;
    secrets_.set_identity(&identity_.private_key, identity_.public_key);
    secrets_.set_token(config_.cluster.token, config_.peers.derive_preshared_keys);
    phase("keys", since);

    since = system_clock().now();
    if (auto opened = open_adapters(); !opened) return opened;
    auto overlay = choose_overlay_address();
    if (!overlay) return Failure(overlay.error());
    overlay_ = *overlay;
    sequence_ = state_dir_.sequence();

    open_probes();
    since = system_clock().now();
    start_sources();
    phase("sources", since);
    since = system_clock().now();
    watch_netlink();
    reconcile();
    if (!errors_.empty() && !observed_.interface) return fail(ErrorKind::io, errors_.front());
    phase("first_reconcile", since);
    phase("total", started_);

    file_watch_ = std::make_unique<FileWatch>(io_, [this] { (void)reload(); });
    if (auto watching = file_watch_->watch(config_files_); !watching)
        spdlog::warn("{}; only SIGHUP reloads", watching.error().message());
    poll_later();
    check_later();
    drift_later();
    every_minute();
    spdlog::info(
        "{} is up: {} on {}, WireGuard port {}, key {}, {} backend", config_.node.name, overlay_.to_string(),
        config_.interface.name,
        own_record_.endpoints.empty() ? config_.interface.listen_port : own_record_.endpoints.back().port,
        to_string(identity_.public_key), wireguard_->backend());
    return {};
}

Result<> Agent::open_servers() {
    ControlServerOptions options;
    options.socket = config_.control.socket;
    auto control = make_control_server(io_, options, *this);
    // A predecessor that was just killed may still be on its way out, its socket open.
    const SteadyTime until = system_clock().now() + kPredecessorLeaves;
    while (!control && control.error().kind() == ErrorKind::exists && system_clock().now() < until) {
        std::this_thread::sleep_for(Milliseconds(50));
        control = make_control_server(io_, options, *this);
    }
    if (!control) return fail_with(control, "open the control socket " + config_.control.socket);
    control_server_ = std::move(*control);
    if (!config_.metrics.listen) return {};
    auto metrics = make_metrics_server(io_, *config_.metrics.listen, *this);
    // A taken port is no reason to leave the node without its network.
    if (!metrics)
        config_warnings_.push_back("metrics are off: " + metrics.error().message());
    else
        metrics_server_ = std::move(*metrics);
    if (!metrics) spdlog::warn("{}", config_warnings_.back());
    return {};
}

Result<> Agent::open_adapters() {
    SteadyTime since = system_clock().now();
    auto netlink = make_netlink();
    if (!netlink) return fail_with(netlink, "open netlink");
    netlink_ = std::move(*netlink);
    auto monitor = make_netlink_monitor(netlink_->port());
    if (!monitor) return fail_with(monitor, "watch netlink");
    monitor_ = std::move(*monitor);
    auto backend = choose_backend(config_, *netlink_);
    if (!backend) return Failure(backend.error());
    wireguard_ = std::move(*backend);
    phase("netlink", since);

    since = system_clock().now();
    DataplaneOptions options;
    options.pin_path = config_.bpf.pin_path;
    options.order_first = config_.steering.order_first;
    options.max_routes = config_.bpf.max_routes;
    auto dataplane = make_dataplane(options);
    if (!dataplane) return fail_with(dataplane, "prepare the data plane");
    dataplane_ = std::move(*dataplane);
    if (auto loaded = dataplane_->load(); !loaded) return fail_with(loaded, "load the BPF programs");
    if (config_.steering.direct)
        if (auto possible = dataplane_->load_direct(); !possible) return Failure(possible.error());
    phase("bpf_load", since);

    since = system_clock().now();
    kernel_ = std::make_unique<Kernel>(*netlink_, *wireguard_, *dataplane_, secrets_, config_.interface.name,
                                       identity_.public_key);
    // Whoever runs wireguard-go for us makes the device, and leaves signing it to us.
    kernel_->set_unsigned_ours(config_.interface.external_wireguard_go ||
                               state_dir_.interface_noted(config_.interface.name));
    auto observed = kernel_->observe();
    if (!observed) return Failure(observed.error());
    observed_ = std::move(*observed);
    if (auto noted = state_dir_.note_interface(config_.interface.name); !noted)
        return fail_with(noted, "write to the state directory");
    if (!observed_.interface || !observed_.wireguard) {
        auto outcome = kernel_->apply({step::CreateInterface{config_.interface.name}});
        if (!outcome.errors.empty()) return fail(ErrorKind::io, outcome.errors.front());
        auto again = kernel_->observe();
        if (!again) return Failure(again.error());
        observed_ = std::move(*again);
    }
    observed_valid_ = true;
    ids_.adopt(observed_.steer_peers);
    for (const auto& [id, peer] : observed_.steer_peers)
        if (peer.state != PeerState::unknown) adopted_up_[peer.key] = true;
    if (dataplane_->adopted())
        spdlog::info("adopted the running data plane: {} steered prefixes, {} peers",
                     observed_.steer_routes.size(), observed_.steer_peers.size());
    phase("device", since);
    return {};
}

Result<IpAddress> Agent::choose_overlay_address() {
    if (const auto stored = state_dir_.address(); stored && overlay_network_.contains(*stored))
        return *stored;
    auto facts = read_facts(*netlink_, config_);
    if (!facts) return fail_with(facts, "look at this host's links");
    const IpAddress address = derive_overlay_address(overlay_network_, *facts, identity_.public_key);
    if (auto stored = state_dir_.store_address(address); !stored)
        return fail_with(stored, "store the overlay address");
    return address;
}

void Agent::start_sources() {
    std::vector<std::string> before;
    if (sources_) {
        for (const SourceStatus& status : sources_->statuses()) before.push_back(status.name);
        sources_->stop();
    }
    auto sources = make_sources(io_, config_, identity_);
    if (!sources) {
        // Nothing but a broken CA file gets here; the mesh runs on with what is known.
        spdlog::error("discovery: {}", sources.error().message());
        errors_.push_back("discovery: " + sources.error().message());
        return;
    }
    sources_ = std::move(*sources);
    source_refusals_.clear();  // what still is unacceptable they tell anew
    begin_with_cached_api_servers();
    if (registry_.ownership() == Ownership{}) registry_.restore(sources_->cached_ownership());
    sources_->start([this](SourceUpdate update) { on_source(std::move(update)); });
    // A source that is no longer configured names nobody.
    const auto now_there = sources_->statuses();
    for (const std::string& name : before)
        if (std::none_of(now_there.begin(), now_there.end(),
                         [&](const SourceStatus& s) { return s.name == name; }))
            registry_.snapshot(name, {}, system_clock().now());
}

void Agent::on_source(SourceUpdate update) {
    if (stopped_) return;
    const SteadyTime now = system_clock().now();
    bool one_record = false;
    switch (update.kind) {
        case SourceUpdate::Kind::snapshot:
            for (const Tombstone& tombstone : update.tombstones) registry_.tombstone(tombstone);
            registry_.snapshot(update.source, std::move(update.records), now);
            break;
        case SourceUpdate::Kind::put:
            one_record = true;
            for (SourcedRecord& record : update.records) registry_.put(std::move(record), now);
            break;
        case SourceUpdate::Kind::gone:
            registry_.gone(update.source, update.identity, now);
            break;
        case SourceUpdate::Kind::tombstone:
            registry_.tombstone(update.tombstone);
            break;
        case SourceUpdate::Kind::refused: {
            if (source_refusals_.size() >= 256) source_refusals_.clear();  // bounded whatever is thrown at us
            const std::string id = update.source + " " + update.refused_peer;
            source_refusals_[id] = {update.refused_peer, "record",
                                    update.refused_reason + " (" + update.source + ")"};
            tell_refusal(update);
            break;
        }
        case SourceUpdate::Kind::forgiven:
            source_refusals_.erase(update.source + " " + update.refused_peer);
            break;
        case SourceUpdate::Kind::own_pods:
            take_assigned_pods(std::move(update.pod_prefixes));
            break;
        case SourceUpdate::Kind::api_servers:
            take_api_servers(std::move(update.api_servers), update.api_servers_complete);
            break;
        case SourceUpdate::Kind::own_sequence:
            if (update.sequence >= sequence_) {
                sequence_ = update.sequence;
                own_record_ = Record{};  // says it again, above that
            }
            break;
    }
    if (one_record) {
        one_put_ = true;
        reconcile_soon();
        return;
    }
    merge_dirty_ = true;
    mark_dirty();
}

void Agent::watch_netlink() {
    // The monitor keeps its descriptor; the stream gives its copy away before it is closed.
    monitor_stream_ = std::make_unique<asio::posix::stream_descriptor>(io_, ::dup(monitor_->fd()));
    on_netlink();
}

void Agent::on_netlink() {
    monitor_stream_->async_wait(
        asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
            if (error || stopped_) return;
            auto events = monitor_->read_events();
            if (!events) {
                spdlog::warn("netlink events: {}", events.error().message());
                look_at_everything_later();
            } else {
                for (const NetlinkEvent& event : *events) {
                    const bool own =
                        observed_.interface && event.ifindex == observed_.interface->link.ifindex;
                    const bool default_route = event.route && event.route->prefix.is_default();
                    const bool ours = event.route && event.route->protocol == kRouteProtocol;
                    switch (event.what) {
                        case NetlinkEvent::What::overrun:
                            look_at_everything_later();
                            break;
                        case NetlinkEvent::What::link:
                            if (event.removed) forget_attachments(event.ifindex);
                            look_at_routes_later();
                            [[fallthrough]];
                        case NetlinkEvent::What::address:
                            (own ? drift_looks_ : host_looks_).ask();
                            break;
                        case NetlinkEvent::What::neighbour:
                            if (route_health_.watched().contains({event.ifindex, event.neighbour}))
                                look_at_routes_later();
                            break;
                        case NetlinkEvent::What::forwarding:
                            if (route_health_.tunnels().contains(event.ifindex)) look_at_routes_later();
                            break;
                        case NetlinkEvent::What::route:
                            if (default_route) host_looks_.ask();
                            if (!ours && cares_for_route(event.route->prefix)) look_at_routes_later();
                            // What a plan of ours took away isn't there any more.
                            if (ours && event.removed &&
                                observed_.routes.contains({event.route->prefix, event.route->type}))
                                drift_looks_.ask();
                            break;
                    }
                }
            }
            on_netlink();
        });
}

// They went with the device. Another may have its index by now, and all else in common with it.
void Agent::forget_attachments(int ifindex) {
    std::erase_if(observed_.attachments, [&](const Attachment& at) { return at.ifindex == ifindex; });
}

// A route around a prefix of pods counts where there is none for itself, one inside where the prefix has
// holes.
bool Agent::cares_for_route(const Prefix& prefix) const {
    if (config_.steering.pods_when_cni_down || observed_.steer_routes.contains(prefix)) return true;
    const auto inside = observed_.steer_routes.lower_bound(prefix);
    if (prefix.family() == Family::v6 && inside != observed_.steer_routes.end() &&
        prefix.contains(inside->first))
        return true;
    return std::ranges::any_of(holed_, [&](const auto& holed) { return holed.first.contains(prefix); });
}

// Nobody knows what was missed.
void Agent::look_at_everything_later() {
    host_looks_.ask();
    drift_looks_.ask();
    look_at_routes_later();
}

void Agent::observe_peers(const WgDevice& device) {
    const SteadyTime now = system_clock().now();
    const UnixTime unix_now = system_clock().unix_now();
    std::set<PublicKey> there;
    for (const WgObservedPeer& peer : device.peers) {
        manager_.observe(peer, now, unix_now);
        there.insert(peer.peer.key);
    }
    // A peer that somebody took out of the device has no session any more.
    for (const PublicKey& key : manager_.keys()) {
        if (there.contains(key)) continue;
        WgObservedPeer gone;
        gone.peer.key = key;
        manager_.observe(gone, now, unix_now);
    }
}

void Agent::observe_device(WgDevice device) {
    observe_peers(device);
    // A port that the kernel chose is announced once it is known.
    const bool port_changed = observed_.wireguard && observed_.wireguard->listen_port != device.listen_port;
    observed_.wireguard = std::move(device);
    if (port_changed) mark_dirty();
}

void Agent::stop() {
    if (stopped_) return;
    stopped_ = true;
    if (sources_) {
        if (first_reconcile_done_) {
            remember();
            sources_->flush();
        }
        sources_->stop();
    }
    if (file_watch_) file_watch_->stop();
    names_.stop();
    packet_monitor_.stop();
    reachability_.stop();
    cni_.stop();
    for (Timer* timer :
         {&debounce_, &poll_timer_, &check_timer_, &drift_timer_, &minute_timer_, &retry_timer_,
          &remember_timer_, &tick_timer_, &observed_timer_, &second_try_timer_, &programs_timer_})
        timer->cancel();
    for (PacedWork* looks : {&route_looks_, &host_looks_, &drift_looks_}) looks->cancel();
    if (way_opener_) way_opener_->stop();
    for (auto* stream : {&monitor_stream_, &echo_stream_})
        if (boost::system::error_code ignored; *stream) (*stream)->close(ignored);
    if (metrics_server_) metrics_server_->stop();
    if (control_server_) control_server_->stop();
}

Task<void> Agent::withdraw() {
    if (!sources_) co_return;
    ++sequence_;
    if (auto stored = state_dir_.store_sequence(sequence_); !stored)
        spdlog::warn("{}", stored.error().message());
    auto done = co_await sources_->withdraw(sequence_, kWithdrawLimit);
    if (!done) spdlog::error("{}; wglan-agent --cleanup tries again", done.error().message());
}

Result<> Agent::reload() {
    auto loaded = load_config(input_);
    if (loaded && loaded->config.steering.direct)
        if (auto possible = dataplane_->load_direct(); !possible) loaded = Failure(possible.error());
    if (!loaded) {
        settings_.error = loaded.error().message();
        spdlog::error("configuration not reloaded, the old settings stay in force: {}", settings_.error);
        return Failure(loaded.error());
    }
    pods_are_assigned_ = !loaded->config.node.pod_prefixes;
    if (pods_are_assigned_) loaded->config.node.pod_prefixes = assigned_pods_;
    const auto changed = Config::differences(config_, loaded->config);
    const auto restart = Config::needs_restart(config_, loaded->config);
    for (const std::string& key : restart) spdlog::warn("{} takes effect at the next start", key);
    config_files_ = loaded->files;
    config_warnings_ = loaded->warnings;
    for (const std::string& key : restart)
        config_warnings_.push_back(key + " takes effect at the next start");
    Config next = std::move(loaded->config);
    // What can't change in flight stays as it is.
    next.cluster = config_.cluster;
    next.node.name = config_.node.name;
    const auto keep = config_.interface;
    next.interface.name = keep.name;
    next.interface.backend = keep.backend;
    next.interface.external_wireguard_go = keep.external_wireguard_go;
    next.interface.address_prefix = keep.address_prefix;
    next.interface.private_key = keep.private_key;
    next.interface.private_key_file = keep.private_key_file;
    next.bpf = config_.bpf;
    next.control = config_.control;
    next.metrics = config_.metrics;
    next.steering.order_first = config_.steering.order_first;
    config_ = std::move(next);
    settings_ = {input_.file, system_clock().unix_now(), ""};
    secrets_.set_token(config_.cluster.token, config_.peers.derive_preshared_keys);
    registry_.set_policy(policy_of(config_, overlay_network_));
    manager_.set_times(times_of(config_));
    if (std::any_of(changed.begin(), changed.end(), concerns_sources)) {
        start_sources();
        own_record_ = Record{};  // the new sources have not been told of it
    }
    if (file_watch_) (void)file_watch_->watch(config_files_);
    serve_cni();
    facts_dirty_ = merge_dirty_ = true;
    mark_dirty();
    spdlog::info("configuration reloaded: {}",
                 changed.empty() ? "nothing changed" : fmt::format("{}", fmt::join(changed, ", ")));
    return {};
}

}  // namespace wglan
