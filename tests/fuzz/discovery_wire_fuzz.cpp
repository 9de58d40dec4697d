// SPDX-License-Identifier: Apache-2.0
// deps: wglan_records
// What a service or a publisher may send: whatever parses must come out the same when written and
// read again.
#include <cstdlib>

#include "agent/discovery/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    const auto text = as_text({data, size});
    if (const auto envelope = parse_envelope(text)) {
        const auto again = parse_envelope(envelope_json(*envelope));
        if (!again || !(*again == *envelope)) std::abort();
    }
    if (const auto entry = parse_node_entry(text)) {
        const auto again = parse_node_entry(node_entry_json(*entry));
        if (!again || !(*again == *entry)) std::abort();
    }
    if (const auto event = parse_watch_event(text)) {
        const auto again = parse_watch_event(watch_event_json(*event));
        if (!again || !(*again == *event)) std::abort();
    }
    if (const auto list = parse_node_list(text)) {
        std::vector<std::string> nodes;
        for (const auto& entry : list->nodes) nodes.push_back(node_entry_json(entry));
        const auto again = parse_node_list(node_list_json(list->revision, nodes, {}));
        if (!again || again->nodes != list->nodes || !again->bad.empty()) std::abort();
    }
    (void)parse_put_answer(text);
    (void)parse_conflict(text);
    return 0;
}
