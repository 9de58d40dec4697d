// SPDX-License-Identifier: Apache-2.0
// tools/bench/datapath's hands inside one network namespace. One JSON object a line on standard input
// asks, one a line on standard output answers: {"ok": ...} or {"error": "..."}.
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "tools/bench/datapath_worker/generator.h"
#include "tools/bench/datapath_worker/host.h"
#include "tools/bench/datapath_worker/must.h"
#include "tools/bench/datapath_worker/programs.h"
#include "tools/bench/datapath_worker/senders.h"
#include "tools/bench/datapath_worker/sinks.h"
#include "tools/bench/datapath_worker/steering.h"
#include "tools/bench/datapath_worker/stopwatch.h"
#include "tools/bench/datapath_worker/tcp.h"
#include "tools/bench/datapath_worker/updates.h"

namespace wglan::bench {
namespace {

using Json = nlohmann::json;

Family family_of(const Json& request) { return request.at("family") == 4 ? Family::v4 : Family::v6; }

Traffic traffic_of(const Json& request) {
    Traffic traffic;
    traffic.family = family_of(request);
    traffic.range = {request.at("prefixes"), request.at("destinations")};
    traffic.from_range = request.value("fromRange", false);
    traffic.in_order = request.value("inOrder", false);
    traffic.other = must(IpAddress::parse(request.at("other").get<std::string>()));
    traffic.port = request.value("port", traffic.port);
    return traffic;
}

class Worker {
public:
    Json answer(const Json& request) {
        const auto call = calls_.find(request.at("call").get<std::string>());
        if (call == calls_.end()) throw std::runtime_error("no such call");
        return call->second(request);
    }

private:
    Json pin(const Json& request) {
        cpu_ = request.at("cpu");
        pin_to(cpu_);
        stopwatch_ = std::make_unique<Stopwatch>(cpu_);
        return nullptr;
    }

    // {"sink": name, "kind": "tun" | "socket" | "discard" | "egress", ...}
    Json sink(const Json& request) {
        const std::string kind = request.at("kind");
        std::unique_ptr<Sink> made;
        if (kind == "tun")
            made = std::make_unique<TunSink>(request.at("device").get<std::string>());
        else if (kind == "socket")
            made = std::make_unique<SocketSink>(request.at("space").get<std::string>(),
                                                request.at("port").get<std::uint16_t>());
        else if (kind == "egress")
            made = std::make_unique<EgressSink>(request.at("device").get<std::string>());
        else if (kind == "discard")
            made = std::make_unique<DiscardSink>(request.at("device").get<std::string>());
        else
            throw std::runtime_error("no such kind of sink");
        sinks_[request.at("sink")] = std::move(made);
        return nullptr;
    }

    Json close(const Json& request) {
        sinks_.erase(request.at("sink").get<std::string>());
        return nullptr;
    }

    // `run` may give its own measure of the time it took.
    Json measure(const Json& request, const std::function<std::optional<std::uint64_t>(std::uint64_t)>& run) {
        const auto found = sinks_.find(request.at("sink").get<std::string>());
        if (found == sinks_.end() || !stopwatch_) throw std::runtime_error("no such sink, or no CPU chosen");
        const Sink& sink = *found->second;
        const std::uint64_t packets = request.at("packets"), before = sink.settled(UINT64_MAX);
        stopwatch_->start();
        const auto own_ns = run(packets);
        const std::uint64_t cpu_ns = stopwatch_->stop(own_ns);
        const std::uint64_t arrived = sink.settled(before + packets) - before;
        return {{"packets", packets},
                {"delivered", static_cast<double>(arrived) / static_cast<double>(packets)},
                {"cpuNs", cpu_ns}};
    }

    Json generate(const Json& request) {
        const std::string device = request.at("device"), feed = request.value("feed", "");
        auto& generator = generators_[device + ">" + feed];
        if (!generator) generator = std::make_unique<Generator>(device, feed);
        generator->prepare(traffic_of(request));
        return measure(request, [&](std::uint64_t packets) { return generator->run(packets); });
    }

    // Gives packets and seconds; nothing is counted or timed.
    Json pace(const Json& request) {
        const std::string device = request.at("device");
        auto& generator = generators_[device + ">"];
        if (!generator) generator = std::make_unique<Generator>(device, "");
        generator->prepare(traffic_of(request));
        const auto start = std::chrono::steady_clock::now();
        const auto sent =
            generator->run_at(request.at("rate"), std::chrono::milliseconds(request.at("milliseconds")));
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        return {{"packets", sent}, {"seconds", took.count()}};
    }

    Json count(const Json& request) {
        const auto found = sinks_.find(request.at("sink").get<std::string>());
        if (found == sinks_.end()) throw std::runtime_error("no such sink");
        return found->second->settled(UINT64_MAX);
    }

    // A sender's sockets stay open under the name "sender" until the next one of that name.
    Json sender(const Json& request) {
        const std::string name = request.at("sender");
        senders_.erase(name);
        senders_[name] = std::make_unique<UdpSender>(request.value("space", ""), traffic_of(request),
                                                     request.at("connected").get<bool>());
        return senders_[name]->destinations();
    }

    Json send(const Json& request) {
        const auto found = senders_.find(request.at("sender").get<std::string>());
        if (found == senders_.end()) throw std::runtime_error("no such sender");
        return measure(request, [&](std::uint64_t packets) -> std::optional<std::uint64_t> {
            found->second->run(packets);
            return std::nullopt;
        });
    }

    // Names the sink whose TUN device it writes to.
    Json writer(const Json& request) {
        const auto found = sinks_.find(request.at("into").get<std::string>());
        const auto* tunnel = found == sinks_.end() ? nullptr : dynamic_cast<TunSink*>(found->second.get());
        if (tunnel == nullptr) throw std::runtime_error("no such TUN device");
        writer_ = std::make_unique<TunWriter>(tunnel->fd(), traffic_of(request));
        return nullptr;
    }

    Json write(const Json& request) {
        if (!writer_) throw std::runtime_error("no writer");
        return measure(request, [&](std::uint64_t packets) -> std::optional<std::uint64_t> {
            writer_->run(packets);
            return std::nullopt;
        });
    }

    Json steer(const Json& request) {
        steering_.reset();
        std::vector<Prefix> addresses;
        for (const std::string address : request.at("podAddresses"))
            addresses.push_back(must(Prefix::parse(address)));
        steering_ = std::make_unique<Steering>(SteeringOptions{request.at("pins"), request.at("tunnel"),
                                                               request.at("uplinks"), request.at("pod"),
                                                               std::move(addresses), request.at("prefixes")});
        return nullptr;
    }

    static Json direct(const Json& request) { return why_not_direct(request.at("pins").get<std::string>()); }

    Json unsteer(const Json&) {
        steering_.reset();
        return nullptr;
    }

    Steering& steering() {
        if (!steering_) throw std::runtime_error("nothing is steered here");
        return *steering_;
    }

    Json change(const Json& request) {
        const std::string kind = request.at("kind");
        const std::uint32_t number = request.at("number");
        const unsigned count = request.at("count");
        if (kind == "map") return change_map(steering(), number, family_of(request), count);
        if (kind == "route") return change_route(request.at("device"), number, family_of(request), count);
        if (kind == "nft")
            return change_nft_element(request.at("table"), request.at("set"), number, family_of(request),
                                      count);
        throw std::runtime_error("no such kind of change");
    }

    Json load(const Json& request) {
        const unsigned rounds = request.at("rounds");
        return request.at("singly").get<bool>() ? load_map_singly(steering(), family_of(request), rounds)
                                                : load_map(steering(), family_of(request), rounds);
    }

    // Our program on that hook of the device; with "hook" "" an empty one.
    Json program(const Json& request) {
        const std::string device = request.at("device"), hook = request.at("hook");
        UniqueFd fd;
        if (!hook.empty()) fd = must(Steering::program_at(device, hook == "egress"));
        return time_program(fd.get(), traffic_of(request), request.at("l2"), device, request.at("passes"));
    }

    static Json tcp(const Json& request) {
        return tcp_throughput({request.value("from", ""), request.value("to", ""), request.at("address"),
                               request.at("port"), request.at("seconds")});
    }

    static Json flush(const Json&) {
        flush_conntrack();
        return nullptr;
    }

    using Call = std::function<Json(const Json&)>;
    Call bound(Json (Worker::*method)(const Json&)) {
        return [this, method](const Json& request) { return (this->*method)(request); };
    }

    int cpu_ = 0;
    std::unique_ptr<Stopwatch> stopwatch_;
    std::map<std::string, std::unique_ptr<Sink>> sinks_;
    std::map<std::string, std::unique_ptr<Generator>> generators_;
    std::map<std::string, std::unique_ptr<UdpSender>> senders_;
    std::unique_ptr<TunWriter> writer_;
    std::unique_ptr<Steering> steering_;
    const std::map<std::string, Call> calls_ = {
        {"pin", bound(&Worker::pin)},
        {"sink", bound(&Worker::sink)},
        {"close", bound(&Worker::close)},
        {"generate", bound(&Worker::generate)},
        {"pace", bound(&Worker::pace)},
        {"count", bound(&Worker::count)},
        {"sender", bound(&Worker::sender)},
        {"send", bound(&Worker::send)},
        {"writer", bound(&Worker::writer)},
        {"write", bound(&Worker::write)},
        {"steer", bound(&Worker::steer)},
        {"direct", &Worker::direct},
        {"unsteer", bound(&Worker::unsteer)},
        {"change", bound(&Worker::change)},
        {"load", bound(&Worker::load)},
        {"program", bound(&Worker::program)},
        {"tcp", &Worker::tcp},
        {"flush", &Worker::flush},
    };
};

int serve() {
    Worker worker;
    std::string line;
    while (std::getline(std::cin, line)) {
        Json answer;
        try {
            answer["ok"] = worker.answer(Json::parse(line));
        } catch (const std::exception& problem) {
            answer = {{"error", problem.what()}};
        }
        std::cout << answer.dump() << '\n' << std::flush;
    }
    return 0;
}

}  // namespace
}  // namespace wglan::bench

int main() { return wglan::bench::serve(); }
