// SPDX-License-Identifier: Apache-2.0
#include "config/section.h"

#include <algorithm>
#include <numeric>

#include "agent/base/text.h"

namespace wglan::config {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Levenshtein distance without regard to case.
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

}  // namespace

void Reading::fail(ErrorKind kind, const Where& where, std::string_view key, std::string_view what) {
    if (error) return;
    std::string message = where.to_string() + ": ";
    if (!key.empty()) message += escape_controls(key) + ": ";
    error.emplace(kind, message + std::string(what));
}

const Value* Section::take(std::string_view key) {
    accepted_.emplace_back(key);
    if (map_ == nullptr || reading_.failed()) return nullptr;
    const Value* value = map_->find(key);
    return value == nullptr || value->kind == Value::Kind::null ? nullptr : value;
}

void Section::require(std::string_view key, std::string_view accepted) {
    const Value* value = map_ == nullptr ? nullptr : map_->find(key);
    if (value == nullptr || value->kind == Value::Kind::null)
        fail(key, "missing; accepted: " + std::string(accepted));
}

void Section::finish() {
    if (map_ == nullptr || reading_.failed()) return;
    for (const auto& member : map_->members) {
        if (std::ranges::find(accepted_, member.key) != accepted_.end()) continue;
        std::string what = "unknown key";
        if (const std::string near = nearest(member.key, accepted_); !near.empty())
            what += ", did you mean " + near + "?";
        std::vector<std::string> sorted = accepted_;
        std::ranges::sort(sorted);
        sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
        const std::string key = member.key.size() > 80 ? member.key.substr(0, 80) + "..." : member.key;
        return reading_.fail(ErrorKind::invalid, member.where, path_of(key),
                             what + "; accepted: " + join(sorted));
    }
}

void Section::fail(std::string_view key, std::string_view what, ErrorKind kind) {
    reading_.fail(kind, where_of(key), path_of(key), what);
}

Where Section::where_of(std::string_view key) const {
    const Value* value = map_ == nullptr ? nullptr : map_->find(key);
    return value == nullptr ? where() : value->where;
}

bool Section::is_list(const Value& value, const std::string& path, std::size_t most, std::string_view word) {
    if (value.kind != Value::Kind::sequence) {
        const std::string shown =
            value.kind == Value::Kind::scalar ? quote(value.text) : std::string(kind_name(value.kind));
        const std::string accepted = word.empty() ? "a list" : std::string(word) + ", or a list";
        reading_.fail(ErrorKind::invalid, value.where, path,
                      shown + " stands where a list belongs; accepted: " + accepted);
        return false;
    }
    if (value.items.size() > most) {
        too_many(value, path, most);
        return false;
    }
    return true;
}

bool Section::is_map(const Value& value, const std::string& path) {
    if (value.kind == Value::Kind::map) return true;
    const std::string shown =
        value.kind == Value::Kind::scalar ? quote(value.text) : std::string(kind_name(value.kind));
    reading_.fail(ErrorKind::invalid, value.where, path,
                  shown + " stands where a map belongs; accepted: a map of keys");
    return false;
}

void Section::too_many(const Value& value, const std::string& path, std::size_t most) {
    reading_.fail(ErrorKind::invalid, value.where, path,
                  "too many entries; accepted: at most " + std::to_string(most));
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    if (word.size() > 64) return {};
    std::string best;
    // A third of the letters may differ: `listenprot` means listenPort, `foo` means nothing.
    std::size_t least = std::max<std::size_t>(word.size() / 3, 1) + 1;
    for (const auto& candidate : candidates) {
        const std::size_t distance = edits(word, candidate);
        if (distance < least) {
            least = distance;
            best = candidate;
        }
    }
    return best;
}

}  // namespace wglan::config
