// SPDX-License-Identifier: Apache-2.0
// Lists and watches one service, for ever.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include "agent/discovery/service_source.h"
#include "agent/discovery/service_view.h"
#include "agent/http/client.h"

namespace wglan {

class ServiceFollower {
public:
    using Emit = std::function<void(SourceUpdate)>;
    using See = std::function<void(const OwnSight&)>;

    ServiceFollower(SourceContext context, const ServiceOptions& options, std::shared_ptr<HttpClient> client,
                    std::string source);

    // Loops until stop(). The caller keeps this object alive.
    Task<void> run(Emit emit, See see);
    void stop();
    // The watch goes on over a new connection, at once.
    void network_changed();
    SourceStatus status() const;

private:
    // Why one attempt ended.
    struct Ended {
        Error error;
        SourceState state = SourceState::down;
        bool lost = false;    // a working watch broke off, as every one does some day
        bool relist = false;  // the service has forgotten our revision: list again at once
    };

    Task<Ended> follow();
    Task<std::optional<Ended>> list();
    Task<Ended> read_events();
    bool deliver(std::vector<SourceUpdate> updates, const OwnSight& own);
    void synced();
    void failed(const Ended& ended);

    SourceContext context_;
    std::shared_ptr<HttpClient> client_;
    Milliseconds silence_;
    Backoff backoff_;
    asio::steady_timer timer_;
    ServiceView view_;
    SourceStatus status_;
    Emit emit_;
    See see_;
    std::unique_ptr<HttpStream> stream_;
    std::string revision_;  // of the last line or list; "" = list first
    bool moved_ = false;    // since the present attempt began
    bool stopped_ = false;
};

}  // namespace wglan
