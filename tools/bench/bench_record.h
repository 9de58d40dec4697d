// SPDX-License-Identifier: Apache-2.0
// Records of nodes that don't exist, for the programs that make them.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "agent/base/file.h"
#include "agent/discovery/record_codec.h"

namespace wglan::bench {

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message());
    return std::move(*result);
}

inline std::span<const std::uint8_t> bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Trailing white space of a file is no part of its token.
inline Secret token_of(const char* file) {
    Secret token = must(read_secret_file(file));
    std::string_view text = token.text();
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.remove_suffix(1);
    return Secret::copy_of({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

inline std::array<std::uint8_t, 32> seed_of(std::uint32_t number) {
    return sha256(bytes_of("bench identity " + std::to_string(number)));
}

// The same number always has the same keys; a later sequence announces one prefix more,
// 100.SEQUENCE.x.0/24.
inline Record record_of(std::uint32_t number, std::uint64_t sequence) {
    const auto seed = seed_of(number);
    const auto key = sha256(bytes_of("bench key " + std::to_string(number)));
    const std::string low = std::to_string(number / 250) + "." + std::to_string(number % 250);
    Record record;
    record.name = "bench-" + std::to_string(number);
    record.public_key = must(public_key_of(key));
    record.identity = must(identity_of(seed));
    char address[64];
    std::snprintf(address, sizeof address, "200:1001::be:%x:%x", number >> 8U, number & 0xffU);
    record.address = must(IpAddress::parse(address));
    // RFC 2544's network: nobody is there, and a host without a route refuses it at once.
    record.endpoints = {must(HostPort::parse("198.18." + low + ":51820"))};
    record.pod_prefixes = {must(Prefix::parse("10." + low + ".0/24"))};
    if (sequence > 1)
        record.prefixes = {must(Prefix::parse("100." + std::to_string(sequence % 250) + "." +
                                              std::to_string(number % 250) + ".0/24"))};
    record.sequence = sequence;
    record.issued = system_clock().unix_now();
    return record;
}

// What both programs do: `print` for each number asked for.
inline int run(const char* program, int count, char** arguments,
               void (*print)(const ClusterKeys& keys, std::uint32_t number, std::uint64_t sequence)) {
    if (count != 5) {
        std::fprintf(stderr, "usage: %s TOKENFILE FIRST COUNT SEQUENCE\n", program);
        return 2;
    }
    try {
        if (auto ready = init_crypto(); !ready) throw std::runtime_error(ready.error().message());
        const Secret token = token_of(arguments[1]);
        const ClusterKeys keys = must(ClusterKeys::derive(token.bytes(), hex_encode(sha256(token.bytes()))));
        const auto first = static_cast<std::uint32_t>(std::stoul(arguments[2]));
        const auto wanted = static_cast<std::uint32_t>(std::stoul(arguments[3]));
        const std::uint64_t sequence = std::stoull(arguments[4]);
        for (std::uint32_t number = first; number < first + wanted; ++number) print(keys, number, sequence);
        return EXIT_SUCCESS;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s: %s\n", program, problem.what());
        return EXIT_FAILURE;
    }
}

}  // namespace wglan::bench
