// SPDX-License-Identifier: Apache-2.0
// podDatapath: direct, where the data plane that this is built with has it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/dataplane.h"

namespace wglan::bench {

struct Pod {
    int ifindex = 0;
    std::string device;
    std::array<std::uint8_t, 6> mac{};  // the device's own
    std::vector<Prefix> addresses;
};

template <class Plane>
concept GoesDirect = requires(Plane& plane) { plane.load_direct(); };

// nullopt: it can be switched on.
template <class Plane>
std::optional<std::string> why_not_direct(Plane& plane) {
    if constexpr (GoesDirect<Plane>) {
        if (auto loaded = plane.load_direct(); !loaded) return loaded.error().message();
        return std::nullopt;
    } else {
        return "the data plane has no pod-ingress program";
    }
}

template <class Route>
void mark_as_pods(Route& route) {
    if constexpr (requires { route.pods; }) route.pods = true;
}

template <class Plane>
Result<> attach_tunnel(Plane& plane, int ifindex, const std::string& name, bool direct) {
    if constexpr (GoesDirect<Plane>) {
        if (auto attached = plane.attach_tunnel(ifindex, name, direct); !attached)
            return Failure(attached.error());
    } else {
        if (direct) return fail(ErrorKind::unsupported, *why_not_direct(plane));
        if (auto attached = plane.attach_tunnel(ifindex, name); !attached) return Failure(attached.error());
    }
    return {};
}

template <class Plane>
Result<> attach_pod(Plane& plane, const Pod& pod) {
    if constexpr (GoesDirect<Plane>) {
        if (auto set = plane.set_own_pods({pod.addresses.begin(), pod.addresses.end()}); !set) return set;
        auto put = plane.put_pods({{.ifindex = pod.ifindex, .name = pod.device, .mac = pod.mac}}, {});
        return put ? Result<>{} : Failure(put.error());
    } else {
        return fail(ErrorKind::unsupported, *why_not_direct(plane));
    }
}

}  // namespace wglan::bench
