// SPDX-License-Identifier: Apache-2.0
// libnftables-json(5).
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/wglanctl/rules/rules.h"

namespace wglan::ctl {
namespace {

using Json = nlohmann::json;

constexpr unsigned kDeepest = 64;  // of expressions; real ones are a few deep

const Json* member(const Json& json, const char* key) {
    if (!json.is_object()) return nullptr;
    const auto it = json.find(key);
    return it == json.end() ? nullptr : &*it;
}

std::string text(const Json& json, const char* key) {
    const Json* value = member(json, key);
    return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

std::optional<std::uint32_t> number(const Json& json) {
    if (!json.is_number_unsigned() || json.get<std::uint64_t>() > 0xffffffff) return std::nullopt;
    return json.get<std::uint32_t>();
}

// {"meta": {"key": "mark"}}, and the same of the flow.
bool is_mark(const Json& json) {
    for (const char* kind : {"meta", "ct"})
        if (const Json* of = member(json, kind); of != nullptr && text(*of, "key") == "mark") return true;
    return false;
}

std::optional<MarkTerm> term(const Json& json, unsigned depth = 0) {
    if (depth > kDeepest) return std::nullopt;
    if (const auto value = number(json)) return MarkTerm{0, *value};
    if (is_mark(json)) return MarkTerm{0xffffffff, 0};
    for (const char* operation : {"&", "|", "^"}) {
        const Json* parts = member(json, operation);
        if (parts == nullptr || !parts->is_array() || parts->size() < 2) continue;
        auto left = term((*parts)[0], depth + 1);
        for (std::size_t i = 1; left && i < parts->size(); ++i) {
            const auto right = number((*parts)[i]);
            if (!right) return std::nullopt;
            if (*operation == '&') left = MarkTerm{left->keep & *right, left->flip & *right};
            if (*operation == '|') left = MarkTerm{left->keep & ~*right, (left->flip & ~*right) | *right};
            if (*operation == '^') left = MarkTerm{left->keep, left->flip ^ *right};
        }
        return left;
    }
    return std::nullopt;
}

void read_match(const Json& match, const std::string& where, RuleFacts& facts) {
    const Json *left = member(match, "left"), *right = member(match, "right");
    const std::string operation = text(match, "op");
    if (left == nullptr || right == nullptr || (operation != "==" && operation != "in")) return;
    const auto compared = term(*left);
    if (!compared || compared->keep == 0) return;
    const Json* set = member(*right, "set");
    std::vector<Json> values;
    if (set != nullptr && set->is_array())
        values.assign(set->begin(), set->end());
    else
        values.push_back(*right);
    for (const Json& value : values)
        if (const auto wanted = number(value))
            facts.marks.push_back({MarkRule::Kind::matches, *compared, *wanted, false, where});
}

void read_mangle(const Json& mangle, const std::string& where, RuleFacts& facts) {
    const Json *key = member(mangle, "key"), *value = member(mangle, "value");
    if (key == nullptr || value == nullptr || !is_mark(*key)) return;
    if (const auto made = term(*value)) facts.marks.push_back({MarkRule::Kind::sets, *made, 0, false, where});
}

// What kube-proxy does with packets that conntrack calls invalid is no policy.
bool only_for_invalid(const Json& statement) {
    const Json* match = member(statement, "match");
    const Json* left = match == nullptr ? nullptr : member(*match, "left");
    const Json* ct = left == nullptr ? nullptr : member(*left, "ct");
    return ct != nullptr && text(*ct, "key") == "state" && match->contains("right") &&
           match->at("right") == "invalid";
}

struct Table {
    std::string forward_chain;  // "" = it hooks nothing there
    bool drops_all = false;     // the chain's policy
    bool drops_some = false;
};

}  // namespace

bool read_nft(std::string_view json, RuleFacts& facts) {
    const Json parsed = Json::parse(json, nullptr, false);
    const Json* list = member(parsed, "nftables");
    if (list == nullptr || !list->is_array()) return false;
    std::map<std::string, Table> tables;
    for (const Json& item : *list) {
        if (const Json* chain = member(item, "chain"); chain != nullptr) {
            Table& table = tables[text(*chain, "family") + " " + text(*chain, "table")];
            if (text(*chain, "hook") != "forward" || text(*chain, "type") != "filter") continue;
            table.forward_chain = text(*chain, "name");
            table.drops_all |= text(*chain, "policy") == "drop";
        }
        const Json* rule = member(item, "rule");
        const Json* statements = rule == nullptr ? nullptr : member(*rule, "expr");
        if (statements == nullptr || !statements->is_array()) continue;
        const std::string table = text(*rule, "family") + " " + text(*rule, "table");
        const std::string where = "nft " + table + " " + text(*rule, "chain");
        bool drops = false, invalid = false;
        for (const Json& statement : *statements) {
            if (const Json* match = member(statement, "match")) read_match(*match, where, facts);
            if (const Json* mangle = member(statement, "mangle")) read_mangle(*mangle, where, facts);
            drops |= member(statement, "drop") != nullptr || member(statement, "reject") != nullptr;
            invalid |= only_for_invalid(statement);
        }
        if (drops && !invalid) tables[table].drops_some = true;
    }
    for (const auto& [name, table] : tables)
        if (!table.forward_chain.empty() && (table.drops_all || table.drops_some))
            facts.forward_policy.push_back("nft " + name + " " + table.forward_chain);
    return true;
}

bool read_ip_rules(std::string_view family, std::string_view json, RuleFacts& facts) {
    const Json parsed = Json::parse(json, nullptr, false);
    if (!parsed.is_array()) return false;
    const auto hex = [](const Json& rule, const char* key, std::uint32_t otherwise) {
        const std::string said = text(rule, key);
        if (said.empty()) return otherwise;
        try {
            return static_cast<std::uint32_t>(std::stoul(said, nullptr, 0));
        } catch (const std::exception&) {
            return otherwise;
        }
    };
    for (const Json& rule : parsed) {
        if (member(rule, "fwmark") == nullptr) continue;
        const Json* priority = member(rule, "priority");
        std::string where = fmt::format("{} rule", family);
        if (priority != nullptr && priority->is_number_unsigned())
            where += fmt::format(" {}", priority->get<std::uint64_t>());
        if (const std::string table = text(rule, "table"); !table.empty()) where += " to table " + table;
        facts.marks.push_back({MarkRule::Kind::routes, MarkTerm{hex(rule, "fwmask", 0xffffffff), 0},
                               hex(rule, "fwmark", 0), member(rule, "not") != nullptr, std::move(where)});
    }
    return true;
}

}  // namespace wglan::ctl
