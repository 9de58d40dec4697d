// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/formats.h"

#include <algorithm>
#include <cctype>

#include <yaml-cpp/yaml.h>

namespace wglan::ctl {
namespace {

// Words of letters, digits, "-", "_" and "." that begin with a letter, except YAML's own.
bool is_plain(const std::string& text) {
    auto ordinary = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
    if (text.empty() || std::isalpha(static_cast<unsigned char>(text[0])) == 0) return false;
    if (!std::all_of(text.begin(), text.end(), ordinary)) return false;
    std::string lower = text;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (auto word : {"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
        if (lower == word) return false;
    return true;
}

void emit_text(YAML::Emitter& out, const std::string& text) {
    if (is_plain(text))
        out << text;
    else
        out << YAML::DoubleQuoted << text;
}

void emit(YAML::Emitter& out, const Json& json) {
    if (json.is_object()) {
        if (json.empty()) out << YAML::Flow;
        out << YAML::BeginMap;
        for (const auto& [key, value] : json.items()) {
            out << YAML::Key;
            emit_text(out, key);
            out << YAML::Value;
            emit(out, value);
        }
        out << YAML::EndMap;
    } else if (json.is_array()) {
        if (json.empty()) out << YAML::Flow;
        out << YAML::BeginSeq;
        for (const auto& value : json) emit(out, value);
        out << YAML::EndSeq;
    } else if (json.is_string()) {
        emit_text(out, json.get_ref<const std::string&>());
    } else if (json.is_null()) {
        out << YAML::Null;
    } else {
        out << json.dump();  // numbers, true and false are spelt alike
    }
}

}  // namespace

std::string to_json_text(const Json& json, bool ascii) {
    return json.dump(2, ' ', ascii, Json::error_handler_t::replace) + "\n";
}

std::string to_json_line(const Json& json, bool ascii) {
    return json.dump(-1, ' ', ascii, Json::error_handler_t::replace) + "\n";
}

std::string to_yaml_text(const Json& json, bool ascii) {
    YAML::Emitter out;
    if (ascii) out.SetOutputCharset(YAML::EscapeNonAscii);
    emit(out, json);
    return std::string(out.c_str()) + "\n";
}

}  // namespace wglan::ctl
