// SPDX-License-Identifier: Apache-2.0
// JSON patches: RFC 6902's own examples, agreement with nlohmann-json, and what messages name.
#include <nlohmann/json.hpp>

#include "config/json_patch.h"
#include "config/yaml_reader.h"
#include "tests/unit/config/support.h"

namespace wglan {
namespace {

using config::Value;
using testing::HasSubstr;
using testing::StartsWith;

Value parse(const std::string& text) { return config::parse_documents(text, "d").value().at(0); }

// After the patch; the error's message if it fails.
std::string patched(const std::string& document, const std::string& patch, const std::string& expected) {
    Value value = parse(document);
    if (const auto done = config::apply_patch(value, parse(patch)); !done) return done.error().message();
    return config::equal(value, parse(expected)) ? "" : "another document";
}

struct Row {
    std::string document, patch, expected;  // expected: "" = an error
};

// RFC 6902 appendix A, and the corners around it.
const std::vector<Row>& rows() {
    static const std::vector<Row> table = {
        {R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])", R"({"baz":"qux","foo":"bar"})"},
        {R"({"foo":["bar","baz"]})", R"([{"op":"add","path":"/foo/1","value":"qux"}])",
         R"({"foo":["bar","qux","baz"]})"},
        {R"({"baz":"qux","foo":"bar"})", R"([{"op":"remove","path":"/baz"}])", R"({"foo":"bar"})"},
        {R"({"foo":["bar","qux","baz"]})", R"([{"op":"remove","path":"/foo/1"}])",
         R"({"foo":["bar","baz"]})"},
        {R"({"baz":"qux","foo":"bar"})", R"([{"op":"replace","path":"/baz","value":"boo"}])",
         R"({"baz":"boo","foo":"bar"})"},
        {R"({"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}})",
         R"([{"op":"move","from":"/foo/waldo","path":"/qux/thud"}])",
         R"({"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}})"},
        {R"({"foo":["all","grass","cows","eat"]})", R"([{"op":"move","from":"/foo/1","path":"/foo/3"}])",
         R"({"foo":["all","cows","eat","grass"]})"},
        {R"({"baz":"qux","foo":["a",2,"c"]})",
         R"([{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}])",
         R"({"baz":"qux","foo":["a",2,"c"]})"},
        {R"({"baz":"qux"})", R"([{"op":"test","path":"/baz","value":"bar"}])", ""},
        {R"({"foo":"bar"})", R"([{"op":"add","path":"/child","value":{"grandchild":{}}}])",
         R"({"foo":"bar","child":{"grandchild":{}}})"},
        {R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux","xyz":123}])",
         R"({"foo":"bar","baz":"qux"})"},
        {R"({"foo":"bar"})", R"([{"op":"add","path":"/baz/bat","value":"qux"}])", ""},
        {R"({"/":9,"~1":10})", R"([{"op":"test","path":"/~01","value":10}])", R"({"/":9,"~1":10})"},
        {R"({"/":9,"~1":10})", R"([{"op":"test","path":"/~01","value":"10"}])", ""},
        {R"({"/":9})", R"([{"op":"replace","path":"/~1","value":1}])", R"({"/":1})"},
        {R"({"foo":["bar"]})", R"([{"op":"add","path":"/foo/-","value":["abc","def"]}])",
         R"({"foo":["bar",["abc","def"]]})"},
        {R"({"a":1})", R"([{"op":"copy","from":"/a","path":"/b"}])", R"({"a":1,"b":1})"},
        {R"({"a":[1,2]})", R"([{"op":"copy","from":"/a","path":"/a/0"}])", R"({"a":[[1,2],1,2]})"},
        {R"({"a":1})", R"([{"op":"add","path":"","value":[1]}])", "[1]"},
        {R"({"a":1})", R"([{"op":"replace","path":"","value":{"b":2}}])", R"({"b":2})"},
        {R"({"a":1})", R"([{"op":"add","path":"/a","value":null}])", R"({"a":null})"},
        {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/b"}])", ""},
        {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a/b","path":"/a"}])", R"({"a":1})"},
        {R"({"a":1})", R"([{"op":"move","from":"/a","path":"/a"}])", R"({"a":1})"},
        {R"({"a":1})", R"([{"op":"move","from":"/b","path":"/b"}])", ""},
        {R"({"a":[1]})", R"([{"op":"add","path":"/a/2","value":1}])", ""},
        {R"({"a":[1]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2]})"},
        {R"({"a":[1]})", R"([{"op":"add","path":"/a/01","value":2}])", ""},
        {R"({"a":[1]})", R"([{"op":"add","path":"/a/x","value":2}])", ""},
        {R"({"a":[1]})", R"([{"op":"replace","path":"/a/-","value":2}])", ""},
        {R"({"a":[1]})", R"([{"op":"remove","path":"/a/1"}])", ""},
        {R"({"a":1})", R"([{"op":"remove","path":"/b"}])", ""},
        {R"({"a":1})", R"([{"op":"replace","path":"/b","value":1}])", ""},
        {R"({"a":1})", R"([{"op":"add","path":"/a/b","value":1}])", ""},
        {R"({"":1})", R"([{"op":"replace","path":"/","value":2}])", R"({"":2})"},
        {R"({"a":1.0})", R"([{"op":"test","path":"/a","value":1}])", R"({"a":1})"},
        {R"({"a":{"x":1,"y":[true,null]}})", R"([{"op":"test","path":"/a","value":{"y":[true,null],"x":1}}])",
         R"({"a":{"x":1,"y":[true,null]}})"},
        {R"({"a":true})", R"([{"op":"test","path":"/a","value":"true"}])", ""},
    };
    return table;
}

TEST(JsonPatch, AppliesAsTheRfcSays) {
    for (const Row& row : rows()) {
        const std::string outcome =
            patched(row.document, row.patch, row.expected.empty() ? "{}" : row.expected);
        if (row.expected.empty())
            EXPECT_THAT(outcome, StartsWith("d:1: operation ")) << row.document << ' ' << row.patch;
        else
            EXPECT_EQ(outcome, "") << row.document << ' ' << row.patch;
    }
}

TEST(JsonPatch, AgreesWithNlohmann) {
    for (const Row& row : rows()) {
        // nlohmann-json 3.11 asserts on an addition below a number, and moves a value into itself.
        if (row.patch.find(R"("path":"/a/b")") != std::string::npos) continue;
        bool applies = true;
        nlohmann::json result;
        try {
            result = nlohmann::json::parse(row.document).patch(nlohmann::json::parse(row.patch));
        } catch (const nlohmann::json::exception&) {
            applies = false;
        }
        EXPECT_EQ(applies, !row.expected.empty()) << row.patch;
        if (applies) {
            EXPECT_EQ(result, nlohmann::json::parse(row.expected)) << row.patch;
        }
    }
}

TEST(JsonPatch, RefusesWhatIsNotAPatch) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"{}", "d:1: not a JSON patch; accepted: a list of operations"},
        {"[5]", "d:1: operation 1: a value is no operation"},
        {"[{}]", "d:1: operation 1: op is missing"},
        {"[{op: [add]}]", "d:1: operation 1: op must be text"},
        {"[{op: merge, path: /a}]", "d:1: operation 1: op \"merge\" is unknown; accepted: add, remove"},
        {"[{op: add, value: 1}]", "d:1: operation 1: path is missing"},
        {"[{op: add, path: /a}]", "d:1: operation 1: add \"/a\": value is missing"},
        {"[{op: test, path: /a}]", "d:1: operation 1: test \"/a\": value is missing"},
        {"[{op: copy, path: /a}]", "d:1: operation 1: copy \"/a\": from is missing"},
        {"[{op: add, path: a, value: 1}]", "d:1: operation 1: the path \"a\" must start with /"},
        {"[{op: add, path: /~2, value: 1}]", "d:1: operation 1: the path \"/~2\" has a ~"},
        {"[{op: add, path: /~, value: 1}]", "d:1: operation 1: the path \"/~\" has a ~"},
        {"- {op: remove, path: /a}\n- {op: remove, path: /a}",
         "d:2: operation 2: remove \"/a\": there is no \"/a\""},
        {"[{op: add, path: /x/y, value: 1}]", "d:1: operation 1: add \"/x/y\": there is no \"/x\""},
        {"[{op: add, path: /a/y, value: 1}]",
         "d:1: operation 1: add \"/a/y\": nothing can be added below \"/a\""},
        {"[{op: add, path: /l/9, value: 1}]", "the list has only 2 places"},
        {"[{op: add, path: /l/x, value: 1}]", "a list takes an index, not \"x\""},
    };
    for (const auto& [patch, expected] : table)
        EXPECT_THAT(patched("{a: 1, l: [1]}", patch, "{}"), HasSubstr(expected)) << patch;
}

TEST(JsonPatch, CopiesCannotGrowWithoutEnd) {
    std::string patch = "[";
    for (int i = 0; i < 40; ++i) patch += "{op: copy, from: /a, path: /a/-},";
    EXPECT_THAT(patched("{a: [1, 2, 3]}", patch + "]", "{}"), HasSubstr("the document has too many values"));
    patch = "[";
    for (int i = 0; i < 80; ++i) patch += "{op: copy, from: '', path: /a},";
    EXPECT_THAT(patched("{a: 1}", patch + "]", "{}"), HasSubstr("nested too deeply"));
    patch = "[";
    for (int i = 0; i < 1001; ++i) patch += "{op: test, path: /a, value: 1},";
    EXPECT_THAT(patched("{a: 1}", patch + "]", "{}"), HasSubstr("at most 1000 operations"));
}

class ConfigPatch : public ConfigTest {};

TEST_F(ConfigPatch, PatchesApplyInOrderInJsonOrYaml) {
    const Config c = good("interface: {listenPort: 1}\nsteering: {exclude: [10.0.0.0/8]}",
                          {R"([{"op":"replace","path":"/interface/listenPort","value":2},
                               {"op":"add","path":"/steering/exclude/0","value":"10.9.0.0/16"}])",
                           "- op: test\n  path: /interface/listenPort\n  value: 2\n"
                           "- {op: add, path: /interface/mtu, value: 1400}\n"
                           "- {op: add, path: /node, value: {name: patched}}\n"});
    EXPECT_EQ(c.interface.listen_port, 2);
    EXPECT_EQ(c.interface.mtu, 1400U);
    EXPECT_EQ(c.node.name, "patched");
    ASSERT_EQ(c.steering.exclude.size(), 2U);
    EXPECT_EQ(c.steering.exclude[0].to_string(), "10.9.0.0/16");
}

TEST_F(ConfigPatch, AnEmptyFileOrNoneCanBePatched) {
    EXPECT_EQ(good("", {R"([{"op":"add","path":"/interface","value":{"mtu":1400}}])"}).interface.mtu, 1400U);
    input_.file.clear();
    input_.patch_files = {put("p.yaml", "[{op: add, path: /interface, value: {mtu: 1500}}]")};
    EXPECT_EQ(load_config(input_)->config.interface.mtu, 1500U);
}

TEST_F(ConfigPatch, ErrorsNameTheFileThatTheKeyCameFrom) {
    const std::string document = "interface:\n  listenPort: 1\n  mtu: 5\n";
    EXPECT_THAT(error(document, {R"([{"op":"add","path":"/node","value":{}}])"}),
                StartsWith("c.yaml:3: interface.mtu: \"5\" is out of range"));
    EXPECT_THAT(
        error("interface:\n  mtu: auto\n", {"[]",
                                            "- {op: test, path: '', value: {interface: {mtu: auto}}}\n"
                                            "- op: replace\n  path: /interface/mtu\n  value: 5\n"}),
        StartsWith("p2.json:4: operation 2: interface.mtu: \"5\" is out of range"));
    EXPECT_THAT(error("interface: {}\n", {"- op: add\n  path: /interface/port\n  value: 5\n"}),
                StartsWith("p1.json:1: operation 1: interface.port: unknown key"));
    EXPECT_THAT(error("", {"[\n {\"op\":\"add\",\"path\":\"/node\",\n  \"value\":{\"nam\":1}}]"}),
                StartsWith("p1.json:3: operation 1: node.nam: unknown key, did you mean name?"));
}

TEST_F(ConfigPatch, ErrorsOfPatchesNameTheOperation) {
    EXPECT_EQ(
        error("node: {}", {"[]", "- {op: add, path: /node/labels, value: {}}\n- {op: remove, path: /peers}"}),
        "p2.json:2: operation 2: remove \"/peers\": there is no \"/peers\"");
    EXPECT_THAT(error("node: {}", {""}),
                StartsWith("p1.json: not a JSON patch; accepted: one list of operations"));
    EXPECT_THAT(error("node: {}", {"a: 1"}), StartsWith("p1.json:1: not a JSON patch"));
    EXPECT_THAT(error("node: {}", {"[{op: add, op: add}]"}), StartsWith("p1.json:1: [0].op: given twice"));
    EXPECT_THAT(error("", {R"([{"op":"add","path":"","value":[1]}])"}), HasSubstr("not a configuration"));
    // Parents are made below /machine alone.
    EXPECT_THAT(error("", {R"([{"op":"add","path":"/node/name","value":"a"}])"}),
                HasSubstr("there is no \"/node\""));
}

}  // namespace
}  // namespace wglan
