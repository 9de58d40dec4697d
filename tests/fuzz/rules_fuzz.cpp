// SPDX-License-Identifier: Apache-2.0
// deps: wglan_ctl_rules
// Whatever nft, iptables-save and ip print: read or refused, and told of.
#include <cstdlib>

#include "tools/wglanctl/rules/rules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan::ctl;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    RuleFacts facts;
    (void)read_nft(text, facts);
    (void)read_iptables("iptables", text, facts);
    (void)read_ip_rules("ip", text, facts);
    if (mark_findings(facts, {}).empty() || policy_findings(facts, true).empty()) std::abort();
    return 0;
}
