// SPDX-License-Identifier: Apache-2.0
// /metrics (Prometheus text), /healthz and /readyz for scrapers and kubelets.
#pragma once

#include <memory>
#include <string>

#include "agent/control/views.h"
#include "agent/http/server.h"

namespace wglan {

// /healthz: 200 while the loop runs. /readyz: 503 with the reason until the provider is ready.
Result<std::unique_ptr<HttpServer>> make_metrics_server(asio::io_context& io, Endpoint listen,
                                                        ControlProvider& provider);

// Exposition format 0.0.4; families without samples are left out.
std::string metrics_text(const MetricsView& view);

}  // namespace wglan
