// SPDX-License-Identifier: Apache-2.0
// Reads the answer to one request out of the datagrams that arrive: which messages belong to it,
// whether it is complete, interrupted or refused. Pure; the socket feeds it.
#pragma once

#include <cstdint>
#include <functional>

#include "agent/netlink/message.h"

namespace wglan::rtnl {

using OnMessage = std::function<Result<>(Bytes)>;

class ReplyReader {
public:
    explicit ReplyReader(std::uint32_t sequence) : sequence_(sequence) {}

    // Hands each message of the answer to `on_message`; true once the answer is complete (ACK or
    // NLMSG_DONE). Messages of other requests are skipped. The kernel's refusal is an Error with
    // its errno and, where it says more, its extended acknowledgement.
    Result<bool> feed(Bytes datagram, const OnMessage& on_message);
    bool complete() const { return complete_; }
    // NLM_F_DUMP_INTR was set: what was handed out may be inconsistent.
    bool interrupted() const { return interrupted_; }

private:
    Result<> take(Bytes message, const OnMessage& on_message);

    std::uint32_t sequence_;
    bool interrupted_ = false;
    bool complete_ = false;
};

// Calls `dump` until it returns true (complete and consistent), at most five times; `conflict` then.
Result<> until_consistent(const std::function<Result<bool>()>& dump);

}  // namespace wglan::rtnl
