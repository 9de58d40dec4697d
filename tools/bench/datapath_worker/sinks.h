// SPDX-License-Identifier: Apache-2.0
// Ends of the way: what arrives is counted in the kernel and goes no further.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/unique_fd.h"
#include "tools/bench/datapath_worker/skeleton.h"

namespace wglan::bench {

class Sink {
public:
    virtual ~Sink() = default;
    // Packets of the generators' length that came so far.
    std::uint64_t count() const;
    // As count(), once no more have come for a while or there are `least` of them.
    std::uint64_t settled(std::uint64_t least) const;

protected:
    Sink(std::uint32_t length4, std::uint32_t length6);
    wglan_bench& skeleton() const { return *skeleton_; }

private:
    Skeleton skeleton_;
};

// A TUN device in place of wglan0: L3, no queue of its own once the caller has said `noqueue`.
class TunSink final : public Sink {
public:
    explicit TunSink(const std::string& device);
    int fd() const { return fd_.get(); }  // what is written to it comes out of the device

private:
    UniqueFd fd_;
};

// UDP sockets, one a family, that drop each datagram at the very end of the receiver's stack.
class SocketSink final : public Sink {
public:
    SocketSink(const std::string& space, std::uint16_t port);

private:
    UniqueFd fd_;
};

// Drops at TC ingress of that device: what is measured then is the generator alone.
class DiscardSink final : public Sink {
public:
    explicit DiscardSink(const std::string& device);

private:
    UniqueFd link_;
};

// Drops at TC egress of an L3 device, behind the programs that are there: for a device of somebody else's.
class EgressSink final : public Sink {
public:
    explicit EgressSink(const std::string& device);

private:
    UniqueFd link_;
};

}  // namespace wglan::bench
