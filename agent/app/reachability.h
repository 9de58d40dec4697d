// SPDX-License-Identifier: Apache-2.0
// Asks peers, through the tunnel, where they see this node and whether they can reach its port from
// elsewhere; and does the same for those who ask. See reach_codec.h for what is said.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "agent/base/clock.h"
#include "agent/http/http.h"
#include "agent/reach/asking.h"
#include "agent/reach/reach_rules.h"
#include "agent/reach/reach_socket.h"

namespace wglan {

struct ReachSurvey {
    std::vector<ReachOutcome> outcomes;
    std::string error;  // why nobody could be asked
    std::string deaf;   // why no knock could be heard; "" = they could
};

class Reachability {
public:
    // nullopt: no peer of ours has this overlay address.
    using FindAsker = std::function<std::optional<ReachAsker>(const IpAddress&)>;

    Reachability(asio::io_context& io, FindAsker find);
    ~Reachability();

    // Answers at this address of this device from now on; cheap where nothing changed.
    void serve_at(const std::string& device, int ifindex, const IpAddress& overlay);
    void set_mark(std::uint32_t mark) { mark_ = mark; }
    void stop();

    // Takes three seconds at most. The port is WireGuard's.
    Task<ReachSurvey> ask(std::vector<ReachQuestion> questions, std::uint16_t listen_port);

private:
    void wait_for_datagrams();
    void read_datagrams();
    void answer(const IpAddress& from, const ReachNonce& nonce);
    void send_questions(const Asking& asking);

    asio::io_context& io_;
    FindAsker find_;
    ReachLimits limits_, refusals_;
    std::uint32_t mark_ = 0;
    std::string device_;
    int ifindex_ = 0;
    IpAddress overlay_;
    std::string error_ = "the tunnel isn't there yet";
    std::optional<ReachSocket> socket_;
    std::unique_ptr<asio::posix::stream_descriptor> stream_;
    std::vector<std::weak_ptr<Asking>> asking_;
};

}  // namespace wglan
