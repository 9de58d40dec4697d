// SPDX-License-Identifier: Apache-2.0
// Short names for values that tests write a lot.
#pragma once

#include "agent/base/ip.h"
#include "agent/base/keys.h"
#include "agent/model/record.h"

namespace wglan::samples {

inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
inline Prefix net(std::string_view text) { return Prefix::parse(text).value(); }
inline Endpoint at(std::string_view text) { return Endpoint::parse(text).value(); }
inline HostPort where(std::string_view text) { return HostPort::parse(text).value(); }

// Keys that compare as their numbers do.
inline PublicKey key(std::uint8_t number) {
    PublicKey key;
    key.bytes.fill(7);
    key.bytes[0] = number;
    return key;
}
inline IdentityKey identity(std::uint8_t number) {
    IdentityKey key;
    key.bytes.fill(9);
    key.bytes[0] = number;
    return key;
}

// Node `number` of a cluster: node3 with 192.0.2.3, 10.244.3.0/24 and 0200:1001::3.
inline Record node(std::uint8_t number, std::uint64_t sequence = 1) {
    const std::string n = std::to_string(number);
    Record record;
    record.name = "node" + n;
    record.public_key = key(number);
    record.identity = identity(number);
    record.address = ip("200:1001::" + n);
    record.endpoints = {where("192.0.2." + n + ":51820")};
    record.node_addresses = {ip("192.0.2." + n)};
    record.pod_prefixes = {net("10.244." + n + ".0/24")};
    record.sequence = sequence;
    record.issued = 1000;
    return record;
}

inline SourcedRecord said(Record record, SourceKind kind = SourceKind::service,
                          std::string source = "service:a") {
    SourcedRecord sourced;
    sourced.record = std::move(record);
    sourced.kind = kind;
    sourced.source = std::move(source);
    return sourced;
}

}  // namespace wglan::samples
