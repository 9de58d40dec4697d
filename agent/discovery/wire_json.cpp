// SPDX-License-Identifier: Apache-2.0
// The JSON of agent/discovery/wire.h.
#include "agent/discovery/wire_json.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/discovery/json_read.h"
#include "agent/discovery/wire.h"

namespace wglan {
namespace {

using json_read::Json;

constexpr std::size_t kMaxAddressText = 64;
constexpr std::size_t kMaxListEntries = 20000;
constexpr std::size_t kMaxListJson = 256U << 20;

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <std::size_t N>
std::array<std::uint8_t, N> fixed(std::string_view bytes) {
    std::array<std::uint8_t, N> out{};
    std::copy_n(bytes.begin(), N, out.begin());
    return out;
}

void put_envelope(Json& object, const Envelope& envelope) {
    object["sequence"] = envelope.sequence;
    object["issued"] = envelope.issued;
    object["ttlSeconds"] = envelope.ttl_seconds;
    object["payload"] = base64_encode(as_bytes(envelope.payload));
    object["signature"] = base64_encode(envelope.signature);
    object["member"] = base64_encode(envelope.member);
    if (envelope.member_key) object["memberKey"] = base64_encode(envelope.member_key->bytes);
}

Result<Envelope> get_envelope(const Json& object) {
    Envelope envelope;
    auto sequence = json_read::unsigned_field(object, "sequence", 1, kMaxSequence);
    if (!sequence) return Failure(sequence.error());
    auto issued = json_read::unsigned_field(object, "issued", 0, kMaxSequence);
    if (!issued) return Failure(issued.error());
    auto ttl = json_read::unsigned_field(object, "ttlSeconds", kMinTtlSeconds, kMaxTtlSeconds);
    if (!ttl) return Failure(ttl.error());
    auto payload = json_read::base64_field(object, "payload", 0, kMaxPayload);
    if (!payload) return Failure(payload.error());
    auto signature = json_read::base64_field(object, "signature", 64, 64);
    if (!signature) return Failure(signature.error());
    // The signature alone, or the member key's public half and the signature in one.
    auto member = json_read::base64_field(object, "member", 64, 96);
    if (!member) return Failure(member.error());
    if (member->size() == 96) {
        envelope.member_key = MemberKey{fixed<32>(member->substr(0, 32))};
        member->erase(0, 32);
    } else if (member->size() != 64) {
        return fail(ErrorKind::invalid,
                    "member: neither 64 bytes (signature) nor 96 (public key and signature)");
    }
    if (json_read::find(object, "memberKey") != nullptr) {
        auto key = json_read::base64_field(object, "memberKey", 32, 32);
        if (!key) return Failure(key.error());
        envelope.member_key = MemberKey{fixed<32>(*key)};
    }
    envelope.sequence = *sequence;
    envelope.issued = static_cast<UnixTime>(*issued);
    envelope.ttl_seconds = static_cast<std::uint32_t>(*ttl);
    envelope.payload = std::move(*payload);
    envelope.signature = fixed<64>(*signature);
    envelope.member = fixed<64>(*member);
    return envelope;
}

Result<IdentityKey> get_node(const Json& object) {
    auto text = json_read::string_field(object, "node", 43);
    if (!text) return Failure(text.error());
    auto node = parse_identity_key(*text);
    if (!node) return fail(ErrorKind::invalid, "\"node\": not an identity (43 characters of base64url)");
    return node;
}

Result<std::optional<IpAddress>> get_observed(const Json& object) {
    auto text = json_read::optional_string(object, "observedAddress", kMaxAddressText);
    if (!text) return Failure(text.error());
    if (!*text) return std::nullopt;
    auto address = IpAddress::parse(**text);
    if (!address) return fail_with(address, "\"observedAddress\"");
    return *address;
}

Result<std::string> get_revision(const Json& object) {
    auto revision = json_read::string_field(object, "revision", kMaxRevision);
    if (!revision) return revision;
    // It goes back into a query string as it stands.
    const bool plain = !revision->empty() && std::all_of(revision->begin(), revision->end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    });
    if (!plain) return fail(ErrorKind::invalid, "\"revision\": letters, digits and - are accepted");
    return revision;
}

Result<> get_entries(const Json& object, const char* field, EnvelopeKind kind, std::vector<NodeEntry>& out,
                     std::vector<std::string>& bad) {
    auto array = json_read::optional_array(object, field, kMaxListEntries);
    if (!array) return Failure(array.error());
    if (*array == nullptr) {
        if (kind == EnvelopeKind::put) return fail(ErrorKind::invalid, fmt::format("\"{}\": missing", field));
        return {};
    }
    for (const auto& item : **array) {
        auto entry = read_node_entry(item);
        if (entry && entry->envelope.kind() == kind)
            out.push_back(std::move(*entry));
        else
            bad.push_back(entry ? to_string(entry->node) + ": \"payload\": empty or not, against its place"
                                : entry.error().message());
    }
    return {};
}

void append_all(std::string& out, const std::vector<std::string>& parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i != 0) out += ',';
        out += parts[i];
    }
}

}  // namespace

Result<NodeEntry> read_node_entry(const Json& object) {
    if (!object.is_object()) return fail(ErrorKind::invalid, "not a JSON object");
    NodeEntry entry;
    auto node = get_node(object);
    if (!node) return Failure(node.error());
    auto envelope = get_envelope(object);
    if (!envelope) return fail_with(envelope, to_string(*node));
    auto observed = get_observed(object);
    if (!observed) return fail_with(observed, to_string(*node));
    entry.node = *node;
    entry.envelope = std::move(*envelope);
    entry.observed_address = *observed;
    return entry;
}

Json write_node_entry(const NodeEntry& entry) {
    Json object = {{"node", to_string(entry.node)}};
    put_envelope(object, entry.envelope);
    if (entry.observed_address) object["observedAddress"] = entry.observed_address->to_string();
    return object;
}

std::string envelope_json(const Envelope& envelope) {
    Json object = Json::object();
    put_envelope(object, envelope);
    return dump(object);
}

Result<Envelope> parse_envelope(std::string_view json) {
    auto object = json_read::parse_object(json, kMaxEnvelopeJson);
    if (!object) return Failure(object.error());
    return get_envelope(*object);
}

std::string node_entry_json(const NodeEntry& entry) { return dump(write_node_entry(entry)); }

Result<NodeEntry> parse_node_entry(std::string_view json) {
    auto object = json_read::parse_object(json, kMaxEnvelopeJson);
    if (!object) return Failure(object.error());
    return read_node_entry(*object);
}

std::string watch_event_json(const WatchEvent& event) {
    Json object = {{"revision", event.revision}};
    switch (event.type) {
        case WatchEvent::Type::bookmark:
            object["type"] = "bookmark";
            break;
        case WatchEvent::Type::put:
            object["type"] = "put";
            object["node"] = write_node_entry(event.entry);
            break;
        case WatchEvent::Type::remove:
            object["type"] = "delete";
            object["node"] =
                event.expired ? Json{{"node", to_string(event.entry.node)}} : write_node_entry(event.entry);
            if (event.expired) object["expired"] = true;
            break;
    }
    return dump(object);
}

Result<WatchEvent> parse_watch_event(std::string_view line) {
    auto object = json_read::parse_object(line, kMaxEnvelopeJson);
    if (!object) return Failure(object.error());
    WatchEvent event;
    auto revision = get_revision(*object);
    if (!revision) return Failure(revision.error());
    event.revision = std::move(*revision);
    auto type = json_read::string_field(*object, "type", 32);
    if (!type) return Failure(type.error());
    if (*type == "bookmark") return event;
    if (*type != "put" && *type != "delete")
        return fail(ErrorKind::invalid, "\"type\": put, delete or bookmark is accepted");
    event.type = *type == "put" ? WatchEvent::Type::put : WatchEvent::Type::remove;
    const Json* node = json_read::find(*object, "node");
    if (node == nullptr || !node->is_object()) return fail(ErrorKind::invalid, "\"node\": must be an object");
    if (event.type == WatchEvent::Type::remove) {
        auto outer = json_read::optional_bool(*object, "expired");
        if (!outer) return Failure(outer.error());
        event.expired = *outer;
    }
    if (event.expired) {
        auto id = get_node(*node);
        if (!id) return Failure(id.error());
        event.entry.node = *id;
        return event;
    }
    auto entry = read_node_entry(*node);
    if (!entry) return Failure(entry.error());
    const bool wants_payload = event.type == WatchEvent::Type::put;
    if (wants_payload == entry->envelope.payload.empty())
        return fail(ErrorKind::invalid,
                    wants_payload ? "\"payload\": empty in a put" : "\"payload\": not empty in a delete");
    event.entry = std::move(*entry);
    return event;
}

std::string node_list_json(std::string_view revision, const std::vector<std::string>& nodes,
                           const std::vector<std::string>& tombstones) {
    std::string out = fmt::format("{{\"revision\":{},\"nodes\":[", dump(Json(revision)));
    append_all(out, nodes);
    if (!tombstones.empty()) {
        out += "],\"tombstones\":[";
        append_all(out, tombstones);
    }
    out += "]}";
    return out;
}

Result<NodeList> parse_node_list(std::string_view json) {
    auto object = json_read::parse_object(json, kMaxListJson);
    if (!object) return Failure(object.error());
    NodeList list;
    auto revision = get_revision(*object);
    if (!revision) return Failure(revision.error());
    list.revision = std::move(*revision);
    if (auto done = get_entries(*object, "nodes", EnvelopeKind::put, list.nodes, list.bad); !done)
        return Failure(done.error());
    if (auto done = get_entries(*object, "tombstones", EnvelopeKind::remove, list.tombstones, list.bad);
        !done)
        return Failure(done.error());
    return list;
}

std::string put_answer_json(const PutAnswer& answer) {
    Json object = {{"revision", answer.revision}};
    if (answer.observed_address) object["observedAddress"] = answer.observed_address->to_string();
    return dump(object);
}

Result<PutAnswer> parse_put_answer(std::string_view json) {
    auto object = json_read::parse_object(json, kMaxEnvelopeJson);
    if (!object) return Failure(object.error());
    auto revision = get_revision(*object);
    if (!revision) return Failure(revision.error());
    auto observed = get_observed(*object);
    if (!observed) return Failure(observed.error());
    return PutAnswer{std::move(*revision), *observed};
}

std::string conflict_json(std::string_view error, std::uint64_t sequence) {
    return dump(Json{{"error", error}, {"sequence", sequence}});
}

Result<std::uint64_t> parse_conflict(std::string_view json) {
    auto object = json_read::parse_object(json, kMaxEnvelopeJson);
    if (!object) return Failure(object.error());
    return json_read::unsigned_field(*object, "sequence", 0, kMaxSequence);
}

}  // namespace wglan
