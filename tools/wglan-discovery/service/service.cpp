// SPDX-License-Identifier: Apache-2.0
#include "tools/wglan-discovery/service/service.h"

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/discovery/json_read.h"

namespace wglan::discovery_service {
namespace {

constexpr std::string_view kClusters = "/v1/clusters/";
constexpr std::string_view kNodes = "/nodes";

HttpResponse text_response(std::string body, const char* type = "text/plain; charset=utf-8") {
    HttpResponse response;
    response.headers["content-type"] = type;
    response.body = std::move(body);
    return response;
}

HttpResponse not_allowed(const char* allowed) {
    HttpResponse response = error_response(405, std::string("accepted here: ") + allowed);
    response.headers["allow"] = allowed;
    return response;
}

// Judged by the length of the base64 text, whatever it holds.
bool payload_too_long(const nlohmann::json& body) {
    const auto* payload = json_read::find(body, "payload");
    if (payload == nullptr || !payload->is_string()) return false;
    const auto& text = payload->get_ref<const std::string&>();
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    return text.size() / 4 * 3 > kMaxPayload + padding;
}

}  // namespace

Service::Service(asio::io_context& io, ServiceOptions options, const Clock& clock,
                 std::function<bool()> clock_synchronised, std::string epoch)
    : io_(io),
      options_(options),
      clock_(clock),
      clock_synchronised_(std::move(clock_synchronised)),
      store_(options.store, std::move(epoch)),
      limiter_(options.rate, options.burst),
      expiry_(io) {}

HttpServer::Handler Service::handler() {
    return [self = shared_from_this()](const HttpRequest& request, HttpWriter& writer) {
        return self->handle(request, writer);
    };
}

std::optional<HttpResponse> Service::plain_route(const HttpRequest& request) {
    const std::string path = request.path();
    if (path != "/healthz" && path != "/readyz" && path != "/metrics") return std::nullopt;
    if (request.method != "GET" && request.method != "HEAD") return not_allowed("GET, HEAD");
    if (path != "/metrics") return text_response("ok\n");
    return text_response(metrics_.text(store_.stats()), "text/plain; version=0.0.4; charset=utf-8");
}

Result<Service::Route> Service::parse_route(const std::string& path) const {
    const auto unknown = [&] {
        return fail(ErrorKind::not_found, "no such resource; see /v1/clusters/{cluster}/nodes");
    };
    if (!path.starts_with(kClusters)) return unknown();
    std::string_view rest = std::string_view(path).substr(kClusters.size());
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos) return unknown();
    Route route;
    route.cluster = std::string(rest.substr(0, slash));
    rest = rest.substr(slash);
    if (!rest.starts_with(kNodes)) return unknown();
    rest.remove_prefix(kNodes.size());
    if (!rest.empty() && !rest.starts_with('/')) return unknown();
    if (!is_cluster_id(route.cluster))
        return fail(ErrorKind::invalid, "cluster: 64 lower-case hex digits are accepted");
    if (rest.empty()) return route;
    auto node = parse_identity_key(rest.substr(1));
    if (!node) return fail(ErrorKind::invalid, "node: an identity is 43 characters of base64url");
    route.node = *node;
    return route;
}

Task<std::optional<HttpResponse>> Service::handle(HttpRequest request, HttpWriter& writer) {
    auto self = shared_from_this();
    std::optional<HttpResponse> response = plain_route(request);
    if (!response) {
        const auto client = request.client.value_or(IpAddress());
        auto wait = limiter_.take(client, clock_.now());
        auto route = parse_route(request.path());
        if (wait) {
            response = refuse(429, "rate", "too many requests from this address; slow down");
            response->headers["retry-after"] = std::to_string(wait->count());
        } else if (!route) {
            const bool unknown = route.error().kind() == ErrorKind::not_found;
            response = refuse(unknown ? 404 : 400, unknown ? "path" : "request", route.error().message());
        } else if (route->node) {
            const bool writes = request.method == "PUT" || request.method == "DELETE";
            response = writes ? write(request, *route) : not_allowed("PUT, DELETE");
        } else if (request.method != "GET") {
            response = not_allowed("GET");
        } else if (request.query("watch").value_or("false") == "true") {
            response = co_await watch(request, route->cluster, writer);
        } else {
            response = co_await list(route->cluster, writer);
        }
    }
    metrics_.request(request.method, response ? response->status : 200);
    co_return response;
}

HttpResponse Service::refuse(unsigned status, const std::string& reason, std::string_view text) {
    metrics_.rejected(reason);
    return error_response(status, text);
}

// A withdrawal may leave out its empty payload.
Result<Envelope> Service::parse_body(const HttpRequest& request, HttpResponse& refusal) const {
    refusal = error_response(400, "");
    const bool withdrawal = request.method == "DELETE";
    auto body = json_read::parse_object(request.body, kMaxEnvelopeJson);
    if (request.body.size() > kMaxEnvelopeJson || (body && payload_too_long(*body)))
        return refusal.status = 413,
               fail(ErrorKind::exhausted, fmt::format("payload: at most {} bytes", kMaxPayload));
    if (!body) return Failure(body.error());
    const bool absent = withdrawal && json_read::find(*body, "payload") == nullptr;
    if (absent) (*body)["payload"] = "";
    auto envelope = absent
                        ? parse_envelope(body->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
                        : parse_envelope(request.body);
    if (!envelope) return envelope;
    if ((envelope->kind() == EnvelopeKind::remove) != withdrawal)
        return fail(ErrorKind::invalid, withdrawal ? "\"payload\": must be empty in a DELETE"
                                                   : "\"payload\": must not be empty; withdraw with DELETE");
    return envelope;
}

HttpResponse Service::write(const HttpRequest& request, const Route& route) {
    HttpResponse refusal;
    auto envelope = parse_body(request, refusal);
    if (!envelope)
        return refuse(refusal.status, refusal.status == 413 ? "size" : "request", envelope.error().message());
    if (auto fresh = check_freshness(envelope->issued, clock_.unix_now(), clock_synchronised_()); !fresh)
        return refuse(400, "stale", fresh.error().message());
    NodeEntry entry{*route.node, std::move(*envelope), request.client};
    const auto outcome = store_.put(route.cluster, entry, clock_.now());
    metrics_.put(outcome.status, entry.envelope.kind() == EnvelopeKind::remove);
    if (outcome.status == PutOutcome::Status::stored) {
        spdlog::debug("cluster {}: {} {} sequence {}", route.cluster.substr(0, 8),
                      entry.envelope.payload.empty() ? "withdrawn" : "stored", to_string(entry.node),
                      outcome.sequence);
        wake(route.cluster);
    }
    run_expiry();
    return outcome_response(outcome, entry);
}

HttpResponse Service::outcome_response(const PutOutcome& outcome, const NodeEntry& entry) {
    using Status = PutOutcome::Status;
    HttpResponse response;
    switch (outcome.status) {
        case Status::stored:
        case Status::refreshed:
            response.body =
                put_answer_json({store_.revision_text(outcome.revision), entry.observed_address}) + "\n";
            return response;
        case Status::conflict:
            metrics_.rejected("sequence");
            response.status = 409;
            response.body = conflict_json(outcome.message, outcome.sequence) + "\n";
            return response;
        case Status::bad_signature:
            return refuse(403, "signature", outcome.message);
        case Status::unknown_member:
            return refuse(400, "request", outcome.message);
        case Status::cluster_full:
        case Status::service_full:
            break;
    }
    // A place may become free, so it is not a 403.
    response = refuse(429, "full", outcome.message);
    response.headers["retry-after"] = "60";
    return response;
}

void Service::wake(const std::string& cluster) {
    auto found = watchers_.find(cluster);
    if (found == watchers_.end()) return;
    for (auto* timer : found->second) timer->cancel();
}

void Service::run_expiry() {
    if (stopped_) return;
    const auto before = store_.stats();
    for (const auto& cluster : store_.expire(clock_.now())) wake(cluster);
    metrics_.expired(before.nodes - store_.stats().nodes);
    auto next = store_.next_expiry();
    if (!next) return;
    // Not for each refresh anew: only if it is due earlier than the timer is set for.
    if (expiry_.expiry() > clock_.now() && expiry_.expiry() <= *next) return;
    expiry_.expires_at(*next);
    expiry_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
        if (auto self = weak.lock(); self && !error) self->run_expiry();
    });
}

void Service::stop() {
    stopped_ = true;
    expiry_.cancel();
}

std::shared_ptr<Service> make_service(asio::io_context& io, ServiceOptions options, const Clock& clock,
                                      std::function<bool()> clock_synchronised, std::string epoch) {
    return std::make_shared<Service>(io, options, clock, std::move(clock_synchronised), std::move(epoch));
}

std::string random_epoch() { return hex_encode(Secret::random(6).bytes()); }

}  // namespace wglan::discovery_service
