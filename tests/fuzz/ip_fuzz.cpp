// SPDX-License-Identifier: Apache-2.0
// deps: wglan_base
// Addresses, prefixes, endpoints: what parses prints to something that parses to the same.
#include <cstdlib>

#include "agent/base/ip.h"
#include "agent/base/keys.h"
#include "agent/base/text.h"

namespace {

template <class Value>
void round_trip(std::string_view text) {
    const auto value = Value::parse(text);
    if (!value) {
        if (value.error().message().size() > 2000) std::abort();
        return;
    }
    const auto again = Value::parse(value->to_string());
    if (!again || *again != *value || again->to_string() != value->to_string()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = wglan::as_text({data, size});
    round_trip<wglan::IpAddress>(text);
    round_trip<wglan::Prefix>(text);
    round_trip<wglan::Endpoint>(text);
    round_trip<wglan::HostPort>(text);
    wglan::quote(text);
    wglan::escape_controls(text);
    wglan::json_string(text);
    return 0;
}
