// SPDX-License-Identifier: Apache-2.0
// Ours: the data plane as the agent sets it up, filled with the benchmark's prefixes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"
#include "agent/dataplane/dataplane.h"
#include "tools/bench/datapath_worker/bench.h"

namespace wglan::bench {

struct SteeringOptions {
    std::string pin_path;
    std::string tunnel;
    std::vector<std::string> uplinks;
    std::string pod;  // podDatapath: direct at this device; "": host
    std::vector<Prefix> pod_addresses;
    std::uint32_t prefixes = 0;  // of each family
};

// Prefix number i of the benchmark's.
Prefix prefix_of(std::uint32_t number, Family family);

// "" or why podDatapath: direct isn't possible here.
std::string why_not_direct(const std::string& pin_path);

class Steering {
public:
    explicit Steering(SteeringOptions options);
    ~Steering();  // takes everything off again
    Steering(const Steering&) = delete;
    Steering& operator=(const Steering&) = delete;

    Dataplane& dataplane() { return *dataplane_; }
    const std::string& pin_path() const { return options_.pin_path; }
    SteerRoute route(std::uint32_t number, Family family) const;
    std::vector<SteerRoute> routes(Family family) const;  // all of them, sorted as in a plan
    // Our program on that device's TC hook; not_found if there is none (or no TCX).
    static Result<UniqueFd> program_at(const std::string& device, bool egress);

private:
    void fill();

    SteeringOptions options_;
    std::unique_ptr<Dataplane> dataplane_;
};

}  // namespace wglan::bench
