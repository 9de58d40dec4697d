// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/formats.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace wglan::ctl {
namespace {

TEST(ParseAnswer, RefusesWhatIsNoJsonOrTooDeep) {
    EXPECT_EQ(parse_answer(R"({"a":[1]})"), Json::parse(R"({"a":[1]})"));
    EXPECT_TRUE(parse_answer("{\"a\":").is_discarded());
    EXPECT_TRUE(parse_answer("").is_discarded());
    auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_FALSE(parse_answer(nested(30)).is_discarded());
    EXPECT_TRUE(parse_answer(nested(100)).is_discarded());
    EXPECT_TRUE(parse_answer(nested(1'000'000)).is_discarded());
}

TEST(JsonText, IsIndentedAndEndsInANewLine) {
    EXPECT_EQ(to_json_text(Json::parse(R"({"b":1,"a":[]})"), false), "{\n  \"b\": 1,\n  \"a\": []\n}\n");
}

TEST(JsonText, EscapesForTerminals) {
    Json json = Json::object({{"name", "a\u009b\u202e"}});
    EXPECT_EQ(to_json_text(json, true), "{\n  \"name\": \"a\\u009b\\u202e\"\n}\n");
    EXPECT_EQ(Json::parse(to_json_text(json, true)), json);
    EXPECT_EQ(Json::parse(to_json_text(json, false)), json);
}

TEST(YamlText, LooksLikeYaml) {
    auto json = Json::parse(R"({"name":"node1","count":3,"rtt":0.5,"none":null,"yes":true,"empty":[],"map":{},
                                "list":[{"a":1,"b":"x y"},"z"]})");
    EXPECT_EQ(to_yaml_text(json, false),
              "name: node1\n"
              "count: 3\n"
              "rtt: 0.5\n"
              "none: ~\n"
              "\"yes\": true\n"
              "empty: []\n"
              "map: {}\n"
              "list:\n"
              "  - a: 1\n"
              "    b: \"x y\"\n"
              "  - z\n");
}

TEST(YamlText, TextThatLooksLikeSomethingElseStaysText) {
    for (auto text : {"true",
                      "No",
                      "null",
                      "~",
                      "12",
                      "1e3",
                      "0x10",
                      "10.0.0.0/8",
                      "::",
                      "- a",
                      "a: b",
                      "#x",
                      "",
                      " x ",
                      "line\nbreak",
                      "\x1b[2J",
                      "2026-01-02T03:04:05Z",
                      "quote\"d",
                      "back\\slash",
                      "東京"}) {
        Json json = Json::object({{"value", text}});
        std::string yaml = to_yaml_text(json, false);
        EXPECT_EQ(YAML::Load(yaml)["value"].as<std::string>(), text) << yaml;
        // Quoted scalars have the tag "!": no reader takes them for anything but text.
        YAML::Node node = YAML::Load(yaml)["value"];
        EXPECT_EQ(node.Tag(), "!") << yaml;
        EXPECT_EQ(YAML::Load(to_yaml_text(json, true))["value"].as<std::string>(), text);
    }
}

TEST(YamlText, HoldsNoControlCharacters) {
    std::string yaml = to_yaml_text(Json::object({{"a", "\x1b\x07\u009b"}}), true);
    for (char c : yaml) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << yaml;
}

}  // namespace
}  // namespace wglan::ctl
