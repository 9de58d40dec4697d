// SPDX-License-Identifier: Apache-2.0
// Strict reading of a map: each key is asked for by name, what nobody asked for is an error. The
// first error wins and makes the rest do nothing, so that readers are plain lists of keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "config/value.h"

namespace wglan::config {

// What all sections of one document share.
struct Reading {
    std::optional<Error> error;

    // "FILE:LINE: KEY: what"; kept only if it is the first.
    void fail(ErrorKind kind, const Where& where, std::string_view key, std::string_view what);
    bool failed() const { return error.has_value(); }
};

class Section {
public:
    // `map` must be a map and outlive the section; null stands for an empty one.
    Section(const Value* map, std::string path, Reading& reading)
        : map_(map), path_(std::move(path)), reading_(reading) {}

    // Each leaves `out` alone when the key is absent or empty (null). A parser takes a Value and
    // returns a Result whose message says what is wrong and what is accepted.
    template <class T, class Parse>
    void read(std::string_view key, T& out, Parse parse) {
        if (const Value* value = take(key)) parse_into(*value, path_of(key), out, parse);
    }
    template <class T, class Parse>
    void read_list(std::string_view key, std::vector<T>& out, std::size_t most, Parse parse) {
        const Value* value = take(key);
        if (value == nullptr || !is_list(*value, path_of(key), most, "")) return;
        out = parse_items<T>(*value, path_of(key), parse);
    }
    // A list, or `word` for nullopt.
    template <class T, class Parse>
    void read_list_or(std::string_view key, std::string_view word, std::optional<std::vector<T>>& out,
                      std::size_t most, Parse parse) {
        const Value* value = take(key);
        if (value == nullptr) return;
        if (value->kind == Value::Kind::scalar && value->text == word) {
            out.reset();
            return;
        }
        if (is_list(*value, path_of(key), most, word)) out = parse_items<T>(*value, path_of(key), parse);
    }
    // A map below; `body` gets its Section, also when the key is absent (an empty one). Keys that
    // `body` doesn't ask for are errors.
    template <class Body>
    void map(std::string_view key, Body body) {
        const Value* value = take(key);
        if (value != nullptr && !is_map(*value, path_of(key))) return;
        Section below(value, path_of(key), reading_);
        body(below);
        below.finish();
    }
    // A list of maps; `body` gets each one's Section.
    template <class Body>
    void maps(std::string_view key, std::size_t most, Body body) {
        const Value* value = take(key);
        if (value == nullptr || !is_list(*value, path_of(key), most, "")) return;
        for (std::size_t i = 0; i < value->items.size(); ++i) {
            const std::string path = join_path(path_of(key), i);
            if (!is_map(value->items[i], path)) return;
            Section below(&value->items[i], path, reading_);
            body(below);
            below.finish();
        }
    }
    // Every key of a map of free keys.
    template <class Body>
    void each(std::string_view key, std::size_t most, Body body) {
        const Value* value = take(key);
        if (value == nullptr || !is_map(*value, path_of(key))) return;
        if (value->members.size() > most) return too_many(*value, path_of(key), most);
        for (const auto& member : value->members) body(member, join_path(path_of(key), member.key));
    }

    // The value under the key, which thereby is an accepted one; null if absent, empty or after an error.
    const Value* take(std::string_view key);
    // As take, but a key that isn't there is an error.
    void require(std::string_view key, std::string_view accepted);
    // Reports the first key that nobody asked for, with what is accepted in its place.
    void finish();

    void fail(std::string_view key, std::string_view what, ErrorKind kind = ErrorKind::invalid);
    Where where() const { return map_ != nullptr ? map_->where : Where(); }
    Where where_of(std::string_view key) const;
    std::string path_of(std::string_view key) const { return join_path(path_, key); }
    Reading& reading() { return reading_; }

private:
    bool is_list(const Value& value, const std::string& path, std::size_t most, std::string_view word);
    bool is_map(const Value& value, const std::string& path);
    void too_many(const Value& value, const std::string& path, std::size_t most);

    template <class T, class Parse>
    void parse_into(const Value& value, const std::string& path, T& out, Parse& parse) {
        auto parsed = parse(value);
        if (parsed)
            out = std::move(*parsed);
        else
            reading_.fail(parsed.error().kind(), value.where, path, parsed.error().message());
    }
    template <class T, class Parse>
    std::vector<T> parse_items(const Value& list, const std::string& path, Parse& parse) {
        std::vector<T> items(list.items.size());
        for (std::size_t i = 0; i < items.size() && !reading_.failed(); ++i)
            parse_into(list.items[i], join_path(path, i), items[i], parse);
        return items;
    }

    const Value* map_;
    std::string path_;
    Reading& reading_;
    std::vector<std::string> accepted_;
};

// The candidate nearest to `word` by edits, if it is near enough to be what was meant; else "".
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace wglan::config
