// SPDX-License-Identifier: Apache-2.0
// A configuration document as a tree that remembers where each part stood, so that a message can
// name file and line after patches too.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace wglan::config {

struct Where {
    std::shared_ptr<const std::string> file;
    int line = 0;       // from 1; 0 = the file as a whole
    int operation = 0;  // of a JSON patch, from 1; 0 = not from a patch

    std::string to_string() const;  // "FILE:LINE", "FILE:LINE: operation N"
};

struct Value {
    enum class Kind { null, scalar, sequence, map };
    struct Member;

    Kind kind = Kind::null;
    bool quoted = false;  // a scalar that is text whatever it looks like
    std::string text;     // of a scalar; wiped when it goes, since the token stands in one
    std::vector<Value> items;
    std::vector<Member> members;  // in the order of the file; keys are unique after check_duplicates
    Where where;

    Value();
    Value(const Value& other);
    Value(Value&& other) noexcept;
    Value& operator=(const Value& other);
    Value& operator=(Value&& other) noexcept;
    ~Value();

    const Value* find(std::string_view key) const;
    Value* find(std::string_view key);
    // Number of nodes, and the longest way down to one; a scalar has size 1 and depth 1.
    std::size_t size() const;
    std::size_t depth() const;
};

struct Value::Member {
    std::string key;
    Where where;
    Value value;
};

inline constexpr std::size_t kMaxNodes = 200'000;
inline constexpr std::size_t kMaxDepth = 64;

// "a map", "a list", "nothing" or "a value", for messages.
std::string_view kind_name(Value::Kind kind);

// RFC 6902 section 4.6 over YAML: quoted scalars are text, plain ones null, booleans, numbers or text.
bool equal(const Value& a, const Value& b);

// A key that a map holds twice is an error that names both lines (yaml-cpp takes either in silence).
Result<> check_duplicates(const Value& value);

// "parent.key"; just the key at the top.
std::string join_path(std::string_view parent, std::string_view key);
std::string join_path(std::string_view parent, std::size_t index);

}  // namespace wglan::config
