// SPDX-License-Identifier: Apache-2.0
#include "config/json_patch.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/base/text.h"

namespace wglan::config {
namespace {

using Tokens = std::vector<std::string>;

// RFC 6901 section 3: "" is the whole document, else each token follows a slash; ~0 is ~, ~1 is /.
Result<Tokens> parse_pointer(std::string_view text) {
    Tokens tokens;
    if (text.empty()) return tokens;
    if (text.front() != '/')
        return fail(ErrorKind::invalid, "the path " + quote(text) + " must start with /");
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '/') {
            tokens.emplace_back();
            continue;
        }
        if (text[i] != '~') {
            tokens.back() += text[i];
            continue;
        }
        ++i;
        if (i == text.size() || (text[i] != '0' && text[i] != '1'))
            return fail(ErrorKind::invalid, "the path " + quote(text) + " has a ~ that is neither ~0 nor ~1");
        tokens.back() += text[i] == '0' ? '~' : '/';
    }
    return tokens;
}

std::string escape_token(std::string_view token) {
    std::string out;
    for (const char c : token) {
        if (c == '~')
            out += "~0";
        else if (c == '/')
            out += "~1";
        else
            out += c;
    }
    return out;
}

std::string pointer_text(const Tokens& tokens, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += '/' + escape_token(tokens[i]);
    return quote(out);
}

Failure no_such(const Tokens& tokens, std::size_t depth) {
    return fail(ErrorKind::invalid, "there is no " + pointer_text(tokens, depth));
}

// RFC 6901 section 4: digits without leading zeros, below `count`.
Result<std::size_t> parse_index(const Tokens& tokens, std::size_t at, std::size_t count) {
    const std::string& token = tokens[at];
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
    const bool digits = !token.empty() && (token == "0" || token.front() != '0') && error == std::errc() &&
                        end == token.data() + token.size();
    if (!digits)
        return fail(ErrorKind::invalid,
                    pointer_text(tokens, at + 1) + ": a list takes an index, not " + quote(token));
    if (index >= count)
        return fail(ErrorKind::invalid, pointer_text(tokens, at + 1) + ": the list has only " +
                                            std::to_string(count) + " places");
    return index;
}

// One step down, or an error.
Result<Value*> step(Value& value, const Tokens& tokens, std::size_t at) {
    if (value.kind == Value::Kind::map) {
        if (Value* found = value.find(tokens[at])) return found;
    } else if (value.kind == Value::Kind::sequence) {
        auto index = parse_index(tokens, at, value.items.size());
        if (!index) return Failure(index.error());
        return &value.items[*index];
    }
    return no_such(tokens, at + 1);
}

Result<Value*> locate(Value& document, const Tokens& tokens, std::size_t count) {
    Value* value = &document;
    for (std::size_t i = 0; i < count; ++i) {
        auto next = step(*value, tokens, i);
        if (!next) return next;
        value = *next;
    }
    return value;
}

bool is_list_token(const std::string& token) { return token == "-" || token == "0"; }

// What `machine:` with nothing below, or no machine at all, has to become for tokens[at] to fit in.
void become_parent(Value& value, const Tokens& tokens, std::size_t at, const Where& where) {
    if (value.kind != Value::Kind::null) return;
    value.kind = is_list_token(tokens[at]) ? Value::Kind::sequence : Value::Kind::map;
    value.where = where;
}

void make_parents(Value& document, const Tokens& tokens, const Where& where) {
    Value* value = &document;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
        become_parent(*value, tokens, i, where);
        if (value->kind == Value::Kind::map && value->find(tokens[i]) == nullptr)
            value->members.push_back({tokens[i], where, Value()});
        auto next = step(*value, tokens, i);
        if (!next) return;  // what comes after reports it
        value = *next;
    }
    if (!tokens.empty()) become_parent(*value, tokens, tokens.size() - 1, where);
}

Result<> add(Value& document, const Tokens& tokens, Value value, const Where& where) {
    if (tokens.empty()) {
        document = std::move(value);
        return {};
    }
    if (tokens.front() == "machine") make_parents(document, tokens, where);
    const std::size_t last = tokens.size() - 1;
    auto parent = locate(document, tokens, last);
    if (!parent) return Failure(parent.error());
    Value& into = **parent;
    if (into.kind == Value::Kind::map) {
        const auto found = std::ranges::find(into.members, tokens[last], &Value::Member::key);
        if (found == into.members.end())
            into.members.push_back({tokens[last], where, std::move(value)});
        else
            *found = {tokens[last], where, std::move(value)};
        return {};
    }
    if (into.kind != Value::Kind::sequence)
        return fail(ErrorKind::invalid, "nothing can be added below " + pointer_text(tokens, last) +
                                            ", which is " + std::string(kind_name(into.kind)));
    std::size_t index = into.items.size();
    if (tokens[last] != "-") {
        auto parsed = parse_index(tokens, last, into.items.size() + 1);
        if (!parsed) return Failure(parsed.error());
        index = *parsed;
    }
    into.items.insert(into.items.begin() + static_cast<std::ptrdiff_t>(index), std::move(value));
    return {};
}

// Takes the value out of the document.
Result<Value> remove(Value& document, const Tokens& tokens) {
    auto found = locate(document, tokens, tokens.size());
    if (!found) return Failure(found.error());
    Value value = std::move(**found);
    if (tokens.empty()) {
        document = Value();
        document.where = value.where;
        return value;
    }
    const std::size_t last = tokens.size() - 1;
    Value& parent = **locate(document, tokens, last);
    if (parent.kind == Value::Kind::map)
        std::erase_if(parent.members, [&](const Value::Member& m) { return m.key == tokens[last]; });
    else
        parent.items.erase(parent.items.begin() + std::stol(tokens[last]));
    return value;
}

Result<> replace(Value& document, const Tokens& tokens, Value value) {
    auto found = locate(document, tokens, tokens.size());
    if (!found) return Failure(found.error());
    **found = std::move(value);
    return {};
}

Result<> test(Value& document, const Tokens& tokens, const Value& value) {
    auto found = locate(document, tokens, tokens.size());
    if (!found) return Failure(found.error());
    if (!equal(**found, value))
        return fail(ErrorKind::invalid,
                    "the test failed: " + pointer_text(tokens, tokens.size()) + " is another value");
    return {};
}

Result<> move(Value& document, const Tokens& from, const Tokens& to, const Where& where) {
    if (from.size() < to.size() && std::equal(from.begin(), from.end(), to.begin()))
        return fail(ErrorKind::invalid, "a value can't move into itself");
    if (from == to) return locate(document, from, from.size()).map([](Value*) {});
    auto value = remove(document, from);
    if (!value) return Failure(value.error());
    return add(document, to, std::move(*value), where);
}

Result<> copy(Value& document, const Tokens& from, const Tokens& to, const Where& where) {
    auto found = locate(document, from, from.size());
    if (!found) return Failure(found.error());
    return add(document, to, Value(**found), where);
}

void stamp(Value& value, int operation) {
    value.where.operation = operation;
    for (auto& item : value.items) stamp(item, operation);
    for (auto& member : value.members) {
        member.where.operation = operation;
        stamp(member.value, operation);
    }
}

Result<std::string> text_member(const Value& operation, const char* key) {
    const Value* value = operation.find(key);
    if (value == nullptr) return fail(ErrorKind::invalid, std::string(key) + " is missing");
    if (value->kind != Value::Kind::scalar)
        return fail(ErrorKind::invalid, std::string(key) + " must be text");
    return value->text;
}

Result<Tokens> pointer_member(const Value& operation, const char* key) {
    auto text = text_member(operation, key);
    if (!text) return Failure(text.error());
    return parse_pointer(*text);
}

Result<> apply_named(Value& document, const std::string& op, const Tokens& path, const Value& operation,
                     int number) {
    Where where = operation.where;
    where.operation = number;
    if (op == "remove") return remove(document, path).map([](const Value&) {});
    if (op == "move" || op == "copy") {
        auto from = pointer_member(operation, "from");
        if (!from) return Failure(from.error());
        return op == "move" ? move(document, *from, path, where) : copy(document, *from, path, where);
    }
    const Value* given = operation.find("value");
    if (given == nullptr) return fail(ErrorKind::invalid, "value is missing");
    if (op == "test") return test(document, path, *given);
    Value value = *given;
    stamp(value, number);
    if (op == "replace") return replace(document, path, std::move(value));
    return add(document, path, std::move(value), where);
}

Result<> apply_operation(Value& document, const Value& operation, int number) {
    if (operation.kind != Value::Kind::map)
        return fail(ErrorKind::invalid,
                    std::string(kind_name(operation.kind)) +
                        " is no operation; accepted: a map with op, path, and value or from");
    auto op = text_member(operation, "op");
    if (!op) return Failure(op.error());
    constexpr std::array<std::string_view, 6> kOps = {"add", "remove", "replace", "move", "copy", "test"};
    if (std::ranges::find(kOps, *op) == kOps.end())
        return fail(ErrorKind::invalid,
                    "op " + quote(*op) + " is unknown; accepted: add, remove, replace, move, copy, test");
    auto path = pointer_member(operation, "path");
    if (!path) return Failure(path.error());
    if (auto done = apply_named(document, *op, *path, operation, number); !done)
        return fail_with(done, *op + ' ' + pointer_text(*path, path->size()));
    // A few `copy` of the whole document into itself would double it each time.
    if (document.size() > kMaxNodes) return fail(ErrorKind::exhausted, "the document has too many values");
    if (document.depth() > kMaxDepth) return fail(ErrorKind::exhausted, "the document is nested too deeply");
    return {};
}

}  // namespace

Result<> apply_patch(Value& document, const Value& patch) {
    if (patch.kind != Value::Kind::sequence)
        return fail(ErrorKind::invalid,
                    patch.where.to_string() + ": not a JSON patch; accepted: a list of operations");
    if (patch.items.size() > kMaxOperations)
        return fail(ErrorKind::exhausted, patch.where.to_string() + ": a patch has at most " +
                                              std::to_string(kMaxOperations) + " operations");
    for (std::size_t i = 0; i < patch.items.size(); ++i) {
        const auto number = static_cast<int>(i) + 1;
        Where where = patch.items[i].where;
        where.operation = number;
        if (auto done = apply_operation(document, patch.items[i], number); !done)
            return fail_with(done, where.to_string());
    }
    return {};
}

}  // namespace wglan::config
