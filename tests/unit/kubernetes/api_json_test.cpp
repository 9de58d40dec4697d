// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/api_json.h"

#include <gmock/gmock.h>

#include "tests/unit/discovery/fixture.h"

namespace wglan::testing {
namespace {

using api_json::Json;
using ::testing::HasSubstr;

Json read(std::string_view text) { return must(api_json::parse(text, 1U << 20)); }

TEST(ApiJson, LeavesOutWhatIsNeverLookedAt) {
    const struct {
        const char* text;
        const char* same;
    } cases[] = {
        {R"({"a":1,"images":[{"names":["x]","}\"{"]}],"b":2})", R"({"a":1,"images":null,"b":2})"},
        {R"({"managedFields" :  {"f:x":{"images":[1]}} , "b":[{"images":"one"}]})",
         R"({"managedFields":null,"b":[{"images":null}]})"},
        {R"({"images":7,"b":-1e3,"managedFields":true})", R"({"images":null,"b":-1e3,"managedFields":null})"},
        {R"({"images":[],"managedFields":{}})", R"({"images":null,"managedFields":null})"},
        {"{\"images\"\n:\n[\n]\n}", R"({"images":null})"},
        // A text that is no key, keys that only look like them, and escapes before a quote.
        {R"({"a":"images","b":["images","managedFields"]})",
         R"({"a":"images","b":["images","managedFields"]})"},
        {R"({"\"images":1,"images\\":2,"xmanagedFields":3})",
         R"({"\"images":1,"images\\":2,"xmanagedFields":3})"},
        {R"({"a":"\\","images":["\\\\","\""],"b":"\\\""})", R"({"a":"\\","images":null,"b":"\\\""})"},
    };
    for (const auto& [text, same] : cases) EXPECT_EQ(read(text), Json::parse(same)) << text;
}

TEST(ApiJson, NonsenseStaysNonsense) {
    for (const char* text : {"", "{", "}", "\"images\":", R"({"images":)", R"({"images":[)",
                             R"({"images":"x)", R"({"images":]})", R"({"images")", R"({"images" 1})",
                             R"({"images":[1},"a":2])", R"({"images":1 2})", R"({"images":})",
                             R"(["images":[1]])", "\"", "\\\"images\\\":[", "{\"a\":\"\\"})
        EXPECT_FALSE(api_json::parse(text, 1U << 20)) << text;
    EXPECT_THAT(message(api_json::parse(std::string(40, '['), 1U << 20)), HasSubstr("too deep"));
    EXPECT_THAT(message(api_json::parse("{}", 1)), HasSubstr("at most 1"));
    // As deep as servers may go in what isn't looked at.
    const std::string deep = R"({"managedFields":)" + std::string(200, '[') + std::string(200, ']') + "}";
    EXPECT_EQ(read(deep), Json::parse(R"({"managedFields":null})"));
}

}  // namespace
}  // namespace wglan::testing
