// SPDX-License-Identifier: Apache-2.0
// Signs and seals whatever a test asks for, sound or not, with the project's own keys and codecs. Each
// line of standard input is a JSON object, each line of output the entry (identity and envelope) made
// of it:
//
//   node        text whose SHA-256 is the identity's seed; or seedFile: a node's own identity.key
//   token       text of the cluster's token; sealToken: seals with this one's key instead
//   as          identity in whose name it is signed and sealed, by default the signer's
//   sequence    default 1; issued (default now); ttlSeconds (default 3600)
//   record      fields over the defaults of a record of that node; or text: sealed as it stands
//   cut, pad    bytes taken off the end of the sealed payload, or put there, before it is signed
//   tombstone   true: a withdrawal
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

#include "agent/base/file.h"
#include "agent/discovery/cluster_keys.h"
#include "agent/discovery/json_read.h"

namespace wglan {
namespace {

using json_read::Json;

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message());
    return std::move(*result);
}

ClusterKeys keys_of(const std::string& token) {
    return must(ClusterKeys::derive(as_bytes(token), hex_encode(sha256(as_bytes(token)))));
}

Secret seed_of(const Json& wish) {
    if (!wish.contains("seedFile"))
        return Secret::copy_of(sha256(as_bytes("identity " + wish.at("node").get<std::string>())));
    const Secret text = must(read_secret_file(wish.at("seedFile").get<std::string>()));
    return must(parse_private_key(text.text()));
}

std::string record_text(const Json& wish, const IdentityKey& identity) {
    if (wish.contains("text")) return wish.at("text").get<std::string>();
    const std::string node = wish.value("node", "");
    const auto key = must(public_key_of(sha256(as_bytes("key " + node))));
    Json record = {{"version", 1},
                   {"name", node},
                   {"identity", to_string(identity)},
                   {"publicKey", to_string(key)},
                   {"endpoints", Json::array()},
                   {"nodeAddresses", Json::array()},
                   {"podPrefixes", Json::array()},
                   {"prefixes", Json::array()}};
    record.update(wish.value("record", Json::object()));
    return record.dump();
}

std::string payload_of(const Json& wish, const IdentityKey& signer, const IdentityKey& node,
                       std::uint64_t sequence) {
    if (wish.value("tombstone", false)) return {};
    const auto token = wish.at("token").get<std::string>();
    // Only the key is another's: what the seal is bound to stays right.
    const std::string bound =
        keys_of(token).cluster() + "\n" + to_string(node) + "\n" + std::to_string(sequence);
    const WipedKey key = hkdf_sha256(as_bytes(wish.value("sealToken", token)), {}, "wglan/v1/seal");
    std::string payload = seal(key, record_text(wish, signer), bound);
    payload.resize(payload.size() - wish.value("cut", std::size_t{0}));
    payload.append(wish.value("pad", std::size_t{0}), 'x');
    return payload;
}

Json entry_of(const Json& wish) {
    const Secret seed = seed_of(wish);
    const IdentityKey signer = must(identity_of(seed.bytes()));
    const IdentityKey node =
        wish.contains("as") ? must(parse_identity_key(wish.at("as").get<std::string>())) : signer;
    const auto sequence = wish.value("sequence", std::uint64_t{1});
    const auto envelope =
        keys_of(wish.at("token").get<std::string>())
            .sign_envelope(seed.bytes(), node, sequence, wish.value("issued", system_clock().unix_now()),
                           wish.value("ttlSeconds", kMaxTtlSeconds),
                           payload_of(wish, signer, node, sequence));
    Json entry = Json::parse(envelope_json(envelope));
    entry["node"] = to_string(node);
    return entry;
}

int run() {
    if (auto ready = init_crypto(); !ready) throw std::runtime_error(ready.error().message());
    for (std::string line; std::getline(std::cin, line);)
        std::cout << entry_of(Json::parse(line)).dump() << std::endl;
    return EXIT_SUCCESS;
}

}  // namespace
}  // namespace wglan

int main() {
    try {
        return wglan::run();
    } catch (const std::exception& problem) {
        std::cerr << "wglan-test-record: " << problem.what() << "\n";
        return EXIT_FAILURE;
    }
}
