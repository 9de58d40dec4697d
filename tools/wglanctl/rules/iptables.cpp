// SPDX-License-Identifier: Apache-2.0
// iptables-save(8): "*table", ":CHAIN POLICY [packets:bytes]", "-A CHAIN ...", "COMMIT".
#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include "tools/wglanctl/rules/rules.h"

namespace wglan::ctl {
namespace {

struct Masked {
    std::uint32_t value = 0, mask = 0xffffffff;
};

std::optional<std::uint32_t> number(std::string_view text) {
    const int base = text.starts_with("0x") ? 16 : 10;
    if (base == 16) text.remove_prefix(2);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// "0x10", "0x10/0xf0".
std::optional<Masked> masked(std::string_view text) {
    const auto slash = text.find('/');
    const auto value = number(text.substr(0, slash));
    const auto mask =
        slash == std::string_view::npos ? std::optional(0xffffffffU) : number(text.substr(slash + 1));
    if (!value || !mask) return std::nullopt;
    return Masked{*value, *mask};
}

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

void read_marks(const std::vector<std::string>& words, const std::string& where, RuleFacts& facts) {
    for (std::size_t i = 2; i + 1 < words.size(); ++i) {
        const auto value = masked(words[i + 1]);
        if (!value) continue;
        if (words[i] == "--mark")
            facts.marks.push_back({MarkRule::Kind::matches, MarkTerm{value->mask, 0}, value->value,
                                   words[i - 1] == "!", where});
        // --set-mark and --or-mark are saved as --set-xmark: (mark & ~mask) ^ value.
        if (words[i] == "--set-xmark")
            facts.marks.push_back(
                {MarkRule::Kind::sets, MarkTerm{~value->mask, value->value}, 0, false, where});
    }
}

bool drops(const std::vector<std::string>& words) {
    const auto has = [&](const char* word) {
        return std::find(words.begin(), words.end(), word) != words.end();
    };
    return (has("DROP") || has("REJECT")) && !has("INVALID");
}

}  // namespace

bool read_iptables(std::string_view program, std::string_view text, RuleFacts& facts) {
    std::istringstream in{std::string(text)};
    std::string table, line;
    bool any = false, forwards = false;
    for (; std::getline(in, line);) {
        if (line.starts_with("*")) {
            table = line.substr(1);
            any = true;
        }
        const auto words = words_of(line);
        if (table == "filter" && words.size() > 1 && words[0] == ":FORWARD" && words[1] == "DROP")
            forwards = true;
        if (words.size() < 3 || words[0] != "-A") continue;
        read_marks(words, std::string(program) + " " + table + " " + words[1], facts);
        // Chains of others' that FORWARD jumps to count; INPUT's and OUTPUT's don't.
        if (table == "filter" && words[1] != "INPUT" && words[1] != "OUTPUT" && drops(words)) forwards = true;
    }
    if (forwards) facts.forward_policy.push_back(std::string(program) + " filter FORWARD");
    return any || text.empty() || text.front() == '#';
}

}  // namespace wglan::ctl
