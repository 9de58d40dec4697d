// SPDX-License-Identifier: Apache-2.0
// A peer manager, its clock, and a device with one peer whose network a test switches.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/peers/peer_manager.h"
#include "tests/support/samples.h"

namespace wglan {

class FakePeer {
public:
    static constexpr Milliseconds kStep{50};

    FakePeer() {
        manager.set_probing(true);
        input.key = samples::key(2);
        input.address = samples::ip("200:1001::2");
        input.candidates = {{samples::at("192.0.2.2:51820"), CandidateSource::announced, 30}};
    }

    void begin() { manager.set_peers({input}, now); }
    void come_up() {
        begin();
        handshake();
        look();
        run(Milliseconds(300));
    }
    // Runs until something holds; the time that took, or nullopt.
    std::optional<Milliseconds> until(const std::function<bool()>& holds, Milliseconds limit) {
        for (Milliseconds passed{}; passed <= limit; passed += kStep) {
            if (holds()) return passed;
            run(kStep);
        }
        return std::nullopt;
    }
    void run(Milliseconds time) {
        const SteadyTime end = now + time;
        while (now < end) {
            now += kStep;
            unix_ms += kStep.count();
            if (now >= next_keepalive) {
                next_keepalive = now + Seconds(25);
                stats.tx_bytes += 32;
                if (peer_speaks) stats.rx_bytes += 32;
            }
            if (traffic) stats.rx_bytes += 1488;
            deliver();
            const auto interval = manager.suspecting() ? Milliseconds(500) : times.liveness.dump_interval();
            if (now - looked >= interval) look();
            tick();
        }
    }
    // Time passes, and nobody looks.
    void sleep(Milliseconds time) {
        now += time;
        unix_ms += time.count();
    }
    void look() {
        WgObservedPeer seen;
        seen.peer.key = input.key;
        seen.peer.endpoint = endpoint;
        seen.peer.keepalive_s = 25;
        seen.stats = stats;
        manager.observe(seen, now, unix_ms / 1000);
        looked = now;
    }
    void tick() {
        (void)manager.tick(now, unix_ms / 1000);
        for (const Probe& probe : manager.take_probes()) {
            sent.push_back(now);
            stats.tx_bytes += 96;
            if (loses && loses()) continue;
            if (answers) echoes.push_back({now + rtt, probe.number});
            // WireGuard answers what it receives (KEEPALIVE_TIMEOUT).
            if (!answers && passive_keepalives) passive.push_back(now + Seconds(10));
        }
        for (const PublicKey& key : manager.take_new_beginnings()) {
            afresh.push_back(now);
            (void)key;
            stats = {};
            endpoint = manager.wanted_endpoint(input.key);
        }
    }
    void handshake() {
        stats.last_handshake = unix_ms / 1000;
        stats.last_handshake_ns += 1;
        stats.rx_bytes += 92;
        stats.tx_bytes += 148;
    }
    PeerState state() const { return manager.state(input.key); }
    std::string reason() const { return manager.status(input.key)->reason; }
    std::size_t sent_since(SteadyTime since) const {
        std::size_t count = 0;
        for (const SteadyTime at : sent)
            if (at > since) ++count;
        return count;
    }
    void break_path() { answers = peer_speaks = traffic = passive_keepalives = false; }

    PeerTimes times;
    PeerManager manager{[] { return 0.5; }};
    PeerInput input;
    std::optional<Endpoint> endpoint = samples::at("192.0.2.2:51820");
    WgPeerStats stats;
    SteadyTime now = SteadyTime{} + Seconds(1000);
    SteadyTime looked = now, next_keepalive = now + Seconds(25);
    std::int64_t unix_ms = 1'700'000'000'000;
    bool answers = true, peer_speaks = true, traffic = false, passive_keepalives = true;
    std::function<bool()> loses;
    Milliseconds rtt{20};
    std::vector<SteadyTime> sent, afresh;

private:
    void deliver() {
        std::erase_if(echoes, [&](const Echo& echo) {
            if (echo.at > now) return false;
            stats.rx_bytes += 96;
            manager.echoed(echo.number, echo.at);
            return true;
        });
        std::erase_if(passive, [&](SteadyTime at) {
            if (at > now) return false;
            stats.rx_bytes += 32;
            return true;
        });
    }
    struct Echo {
        SteadyTime at;
        std::uint64_t number;
    };
    std::vector<Echo> echoes;
    std::vector<SteadyTime> passive;
};

}  // namespace wglan
