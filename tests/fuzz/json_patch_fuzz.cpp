// SPDX-License-Identifier: Apache-2.0
// deps: wglan_config
// A document and a patch for it, one after the other (two YAML documents in one text).
#include <cstdlib>

#include "agent/base/keys.h"
#include "config/json_patch.h"
#include "config/yaml_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    auto documents = config::parse_documents(as_text({data, size}), "fuzz.yaml");
    if (!documents || documents->size() < 2) return 0;
    config::Value& document = documents->front();
    const auto done = config::apply_patch(document, documents->at(1));
    if (!done && done.error().message().find('\n') != std::string::npos) std::abort();
    if (done && (document.size() > config::kMaxNodes || document.depth() > config::kMaxDepth)) std::abort();
    if (!config::equal(document, document)) std::abort();
    // No operation makes a key twice.
    if (!config::check_duplicates(document)) std::abort();
    return 0;
}
