// SPDX-License-Identifier: Apache-2.0
// How much a token is worth. Whoever knows the discovery ID (the token's plain SHA-256) can try
// tokens against it, so a guessable one opens the cluster.
#include <algorithm>
#include <array>
#include <cmath>

#include "config/draft.h"
#include "config/scalars.h"

namespace wglan::config {
namespace {

constexpr std::array<std::string_view, 14> kCommon = {
    "password", "passwd",    "secret",  "changeme", "letmein",    "qwerty",   "default",
    "example",  "wireguard", "cluster", "welcome",  "kubernetes", "iloveyou", "replace"};

std::array<std::size_t, 256> histogram(std::string_view text) {
    std::array<std::size_t, 256> counts{};
    for (const char c : text) ++counts[static_cast<unsigned char>(c)];
    return counts;
}

// Shannon's estimate from the token's own letters: an upper bound of what a guesser has to try.
double estimated_bits(std::string_view text) {
    double bits = 0;
    for (const std::size_t count : histogram(text)) {
        if (count == 0) continue;
        const double share = static_cast<double>(count) / static_cast<double>(text.size());
        bits -= static_cast<double>(count) * std::log2(share);
    }
    return bits;
}

// "abcabcabc": a short piece over and over.
bool repeats(std::string_view text) {
    for (std::size_t period = 1; period <= text.size() / 2; ++period)
        if (text.substr(period) == text.substr(0, text.size() - period)) return true;
    return false;
}

// "abcdefgh", "87654321": most letters are a neighbour of the one before.
bool runs(std::string_view text) {
    std::size_t steps = 0;
    for (std::size_t i = 1; i < text.size(); ++i)
        if (std::abs(text[i] - text[i - 1]) <= 1) ++steps;
    return steps * 2 > text.size();
}

}  // namespace

std::string token_weakness(std::string_view token) {
    const auto counts = histogram(token);
    const auto distinct = std::ranges::count_if(counts, [](std::size_t count) { return count != 0; });
    if (distinct < 8) return "it has few distinct characters";
    if (std::ranges::all_of(token, [](char c) { return c >= '0' && c <= '9'; })) return "it is all digits";
    if (repeats(token)) return "it repeats itself";
    if (runs(token)) return "it is a sequence";
    const std::string lower = to_lower(token);
    if (std::ranges::any_of(kCommon,
                            [&](std::string_view word) { return lower.find(word) != std::string::npos; }))
        return "it holds a common word";
    if (estimated_bits(token) < 50.0) return "it has little entropy";
    return {};
}

}  // namespace wglan::config
