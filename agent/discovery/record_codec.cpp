// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/record_codec.h"

#include <fmt/format.h>

#include "agent/discovery/json_read.h"
#include "agent/discovery/record_rules.h"

namespace wglan {
namespace {

using json_read::Json;

constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kMaxAddressText = 64;
constexpr std::size_t kMaxHostPortText = 253 + 2 + 6;

template <class T>
Json texts(const std::vector<T>& items) {
    Json array = Json::array();
    for (const auto& item : items) array.push_back(item.to_string());
    return array;
}

// Reads an array of strings through T::parse.
template <class T>
Result<std::vector<T>> parse_array(const Json& object, const char* field, std::size_t most,
                                   std::size_t max_text) {
    auto array = json_read::optional_array(object, field, most);
    if (!array) return Failure(array.error());
    std::vector<T> out;
    if (*array == nullptr) return out;
    out.reserve((*array)->size());
    for (const auto& item : **array) {
        if (!item.is_string() || item.get_ref<const std::string&>().size() > max_text)
            return fail(ErrorKind::invalid, fmt::format("\"{}\": must hold short strings", field));
        auto value = T::parse(item.get_ref<const std::string&>());
        if (!value) return fail_with(value, fmt::format("\"{}\"", field));
        out.push_back(std::move(*value));
    }
    return out;
}

Result<> decode_keys(const Json& object, Record& record) {
    auto public_text = json_read::string_field(object, "publicKey", 44);
    if (!public_text) return Failure(public_text.error());
    auto public_key = parse_public_key(*public_text);
    if (!public_key) return fail_with(public_key, "\"publicKey\"");
    auto identity_text = json_read::string_field(object, "identity", 43);
    if (!identity_text) return Failure(identity_text.error());
    auto identity = parse_identity_key(*identity_text);
    if (!identity) return fail_with(identity, "\"identity\"");
    auto address_text = json_read::string_field(object, "address", kMaxAddressText);
    if (!address_text) return Failure(address_text.error());
    auto address = IpAddress::parse(*address_text);
    if (!address) return fail_with(address, "\"address\"");
    record.public_key = *public_key;
    record.identity = *identity;
    record.address = *address;
    return {};
}

Result<> decode_lists(const Json& object, Record& record) {
    auto endpoints = parse_array<HostPort>(object, "endpoints", kMaxEndpoints, kMaxHostPortText);
    if (!endpoints) return Failure(endpoints.error());
    auto addresses = parse_array<IpAddress>(object, "nodeAddresses", kMaxNodeAddresses, kMaxAddressText);
    if (!addresses) return Failure(addresses.error());
    auto pods = parse_array<Prefix>(object, "podPrefixes", kMaxPrefixes, kMaxAddressText);
    if (!pods) return Failure(pods.error());
    auto prefixes = parse_array<Prefix>(object, "prefixes", kMaxPrefixes, kMaxAddressText);
    if (!prefixes) return Failure(prefixes.error());
    record.endpoints = std::move(*endpoints);
    record.node_addresses = std::move(*addresses);
    record.pod_prefixes = std::move(*pods);
    record.prefixes = std::move(*prefixes);
    return {};
}

Result<> decode_maps(const Json& object, Record& record) {
    auto labels = json_read::optional_object(object, "labels", kMaxLabels);
    if (!labels) return Failure(labels.error());
    if (*labels != nullptr)
        for (const auto& [key, value] : (*labels)->items()) {
            if (!value.is_string()) return fail(ErrorKind::invalid, "\"labels\": must hold strings");
            record.labels[key] = value.get<std::string>();
        }
    auto observed = json_read::optional_object(object, "observed", kMaxObserved);
    if (!observed) return Failure(observed.error());
    if (*observed != nullptr)
        for (const auto& [key, value] : (*observed)->items()) {
            if (!value.is_string()) return fail(ErrorKind::invalid, "\"observed\": must hold strings");
            auto endpoint = Endpoint::parse(value.get_ref<const std::string&>());
            if (!endpoint) return fail_with(endpoint, "\"observed\"");
            record.observed[key] = *endpoint;
        }
    return {};
}

}  // namespace

Result<std::string> encode_record(const Record& record) {
    auto canonical = normalise_record(record);
    if (!canonical) return Failure(canonical.error());
    Json object = {{"version", kVersion},
                   {"name", canonical->name},
                   {"identity", to_string(canonical->identity)},
                   {"publicKey", to_string(canonical->public_key)},
                   {"address", canonical->address.to_string()},
                   {"endpoints", texts(canonical->endpoints)},
                   {"nodeAddresses", texts(canonical->node_addresses)},
                   {"podPrefixes", texts(canonical->pod_prefixes)},
                   {"prefixes", texts(canonical->prefixes)},
                   {"labels", Json::object()},
                   {"observed", Json::object()}};
    for (const auto& [key, value] : canonical->labels) object["labels"][key] = value;
    for (const auto& [key, endpoint] : canonical->observed) object["observed"][key] = endpoint.to_string();
    return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Record> decode_record(std::string_view json) {
    auto object = json_read::parse_object(json, kMaxPayload);
    if (!object) return Failure(object.error());
    // A later version only adds fields; what breaks this one gets another path (/v2/).
    auto version = json_read::unsigned_field(*object, "version", kVersion, kMaxSequence);
    if (!version) return Failure(version.error());
    Record record;
    auto name = json_read::string_field(*object, "name", 253);
    if (!name) return Failure(name.error());
    record.name = std::move(*name);
    if (auto done = decode_keys(*object, record); !done) return Failure(done.error());
    if (auto done = decode_lists(*object, record); !done) return Failure(done.error());
    if (auto done = decode_maps(*object, record); !done) return Failure(done.error());
    return normalise_record(std::move(record));
}

Result<Envelope> seal_envelope(const ClusterKeys& keys, std::span<const std::uint8_t> identity_seed,
                               const Record& record, std::uint32_t ttl_seconds) {
    if (record.sequence == 0 || record.sequence > kMaxSequence)
        return fail(ErrorKind::invalid, fmt::format("sequence {} is out of range", record.sequence));
    auto json = encode_record(record);
    if (!json) return fail_with(json, "own record");
    std::string payload = keys.seal_record(record.identity, record.sequence, *json);
    if (payload.size() > kMaxPayload)
        return fail(
            ErrorKind::exhausted,
            fmt::format("own record: {} bytes when sealed, at most {} fit; advertise fewer prefixes, labels "
                        "or endpoints",
                        payload.size(), kMaxPayload));
    return keys.sign_envelope(identity_seed, record.identity, record.sequence, record.issued, ttl_seconds,
                              std::move(payload));
}

Result<Record> open_envelope(const ClusterKeys& keys, const IdentityKey& node, const Envelope& envelope) {
    if (envelope.kind() != EnvelopeKind::put)
        return fail(ErrorKind::invalid, "a tombstone where a record is due");
    if (auto done = verify_envelope(keys.cluster(), node, envelope, keys.member_key()); !done)
        return Failure(done.error());
    return open_verified_envelope(keys, node, envelope);
}

Result<Record> open_verified_envelope(const ClusterKeys& keys, const IdentityKey& node,
                                      const Envelope& envelope) {
    auto json = keys.open_record(node, envelope.sequence, envelope.payload);
    if (!json) return fail_with(json, "wrongly sealed");
    auto record = decode_record(*json);
    if (!record) return fail_with(record, "record");
    if (record->identity != node)
        return fail(ErrorKind::permission, fmt::format("it claims the identity {}, another than signed it",
                                                       to_string(record->identity)));
    record->sequence = envelope.sequence;
    record->issued = envelope.issued;
    return record;
}

Result<Tombstone> open_tombstone(const ClusterKeys& keys, const IdentityKey& node, const Envelope& envelope) {
    if (envelope.kind() != EnvelopeKind::remove)
        return fail(ErrorKind::invalid, "a record where a tombstone is due");
    if (auto done = verify_envelope(keys.cluster(), node, envelope, keys.member_key()); !done)
        return Failure(done.error());
    return Tombstone{node, envelope.sequence, envelope.issued};
}

}  // namespace wglan
