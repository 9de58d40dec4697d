// SPDX-License-Identifier: Apache-2.0
// deps: wglan_control
// The query of /v1/explain, and the answer to it on empty tables.
#include <cstdlib>

#include "agent/control/explain.h"
#include "agent/control/explain_query.h"
#include "agent/control/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    HttpRequest http;
    http.target = "/v1/explain?" + std::string(reinterpret_cast<const char*>(data), size);
    auto request = parse_explain_query(http);
    if (!request) {
        if (request.error().kind() != ErrorKind::invalid) std::abort();
        return 0;
    }
    auto explanation = explain(*request, ExplainState{});
    if (explanation.steps.empty() || explanation.steps.back().result != explanation.verdict) std::abort();
    (void)dump(to_json(*request, explanation));
    return 0;
}
