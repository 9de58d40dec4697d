// SPDX-License-Identifier: Apache-2.0
// Makes signed and sealed records of nodes that don't exist, for a cluster whose token is in a file:
//
//   bench_records TOKENFILE FIRST COUNT SEQUENCE
//
// prints a line a record, to be PUT at the service: {"node": IDENTITY, "body": {...}}. The same number
// always has the same keys, so a later SEQUENCE changes that node's record: it announces one prefix
// more, 100.SEQUENCE.x.0/24.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "tools/bench/bench_record.h"

namespace wglan {
namespace {

constexpr std::uint32_t kTtlSeconds = 3600;

void print_record(const ClusterKeys& keys, std::uint32_t number, std::uint64_t sequence) {
    const Record record = bench::record_of(number, sequence);
    const auto seed = bench::seed_of(number);
    const Envelope envelope = bench::must(seal_envelope(keys, seed, record, kTtlSeconds));
    std::printf("{\"node\":\"%s\",\"body\":%s}\n", to_string(record.identity).c_str(),
                envelope_json(envelope).c_str());
}

}  // namespace
}  // namespace wglan

int main(int count, char** arguments) {
    return wglan::bench::run("bench_records", count, arguments, wglan::print_record);
}
