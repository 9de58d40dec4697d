// SPDX-License-Identifier: Apache-2.0
// Client of one discovery service: follows the cluster's records and keeps our own published.
#pragma once

#include "agent/discovery/source_context.h"

namespace wglan {

struct ServiceOptions {
    std::string url;                // http or https, with host and port
    std::string ca_file;            // "" = the system's
    std::uint32_t socket_mark = 0;  // SO_MARK of its connections: steering lets them pass
    Milliseconds backoff_first{500}, backoff_most{30000};
    Milliseconds silence{40000};  // a watch without a line so long is dead (a bookmark comes every 15 s)
    Milliseconds connect_timeout{5000}, request_timeout{10000};
    Milliseconds refresh{0};  // between two PUTs of the same record; 0 = a third of the TTL
};

// status().name is "service:HOST:PORT". States: connecting until the first answer, synced while a
// watch is open and our record is stored, degraded when the service answers but not as it should,
// down when it can't be reached. Records told stay told while it is away.
//
// publish(): the record's sequence must be above every one told by own_sequence, else it is refused
// with 409, told again, and tried again only slowly.
Result<std::unique_ptr<Source>> make_service_source(const SourceContext& context,
                                                    const ServiceOptions& options);

}  // namespace wglan
