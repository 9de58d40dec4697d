// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/http/http.h"
#include "agent/http/message.h"
#include "agent/http/server.h"

namespace wglan {
namespace {

TEST(Url, ParsesNamesAddressesPortsAndPaths) {
    struct Row {
        const char* text;
        bool tls;
        const char* host;
        unsigned port;
        const char* path;
        const char* printed;
    };
    const Row rows[] = {
        {"https://discovery.example:51821", true, "discovery.example", 51821, "",
         "https://discovery.example:51821"},
        {"http://127.0.0.1", false, "127.0.0.1", 80, "", "http://127.0.0.1:80"},
        {"https://[2001:db8::1]:8443/base/", true, "2001:db8::1", 8443, "/base",
         "https://[2001:db8::1]:8443/base"},
        {"https://[::1]", true, "::1", 443, "", "https://[::1]:443"},
        {"http://h/a/b", false, "h", 80, "/a/b", "http://h:80/a/b"},
    };
    for (const auto& row : rows) {
        auto url = Url::parse(row.text);
        ASSERT_TRUE(url) << row.text << ": " << url.error().message();
        EXPECT_EQ(url->tls, row.tls) << row.text;
        EXPECT_EQ(url->host, row.host) << row.text;
        EXPECT_EQ(url->port, row.port) << row.text;
        EXPECT_EQ(url->path, row.path) << row.text;
        EXPECT_EQ(url->to_string(), row.printed);
    }
}

TEST(Url, RefusesWhatItCannotReach) {
    for (const char* text :
         {"", "discovery.example:51821", "ftp://h", "https://", "https://:1", "https://h:0",
          "https://h:65536", "https://h:12x", "https://h:", "https://user@h", "https://[::1",
          "https://[127.0.0.1]", "https://[::1]x", "https://h?x=1", "https://h#f", "https://h h",
          "https://h\r\nx", "https://exa_mple!.com"}) {
        auto url = Url::parse(text);
        ASSERT_FALSE(url) << text;
        EXPECT_EQ(url.error().kind(), ErrorKind::invalid) << text;
    }
    EXPECT_FALSE(Url::parse("https://h/" + std::string(3000, 'a')));
}

TEST(HttpRequest, SplitsTargetIntoPathAndDecodedQuery) {
    HttpRequest request;
    request.target = "/v1/x?watch=true&since=ab%2d1&empty=&flag&plus=a+b&bad=%zz&end=%4";
    EXPECT_EQ(request.path(), "/v1/x");
    EXPECT_EQ(request.query("watch"), "true");
    EXPECT_EQ(request.query("since"), "ab-1");
    EXPECT_EQ(request.query("empty"), "");
    EXPECT_EQ(request.query("flag"), "");
    EXPECT_EQ(request.query("plus"), "a b");
    EXPECT_EQ(request.query("bad"), "%zz");
    EXPECT_EQ(request.query("end"), "%4");
    EXPECT_EQ(request.query("none"), std::nullopt);
    request.target = "/x";
    EXPECT_EQ(request.query("watch"), std::nullopt);
}

TEST(HttpMessage, RequestHeadRefusesWhatWouldBreakTheFraming) {
    HttpRequest request;
    request.target = "/a b";
    EXPECT_FALSE(http::request_head(request, "h", ""));
    request.target = "/a\r\nx: y";
    EXPECT_FALSE(http::request_head(request, "h", ""));
    request.target = "a";
    EXPECT_FALSE(http::request_head(request, "h", ""));
    request.target = "/a";
    request.headers["x"] = "a\r\nb: c";
    EXPECT_FALSE(http::request_head(request, "h", ""));
    request.headers = {{"bad name", "x"}};
    EXPECT_FALSE(http::request_head(request, "h", ""));
    request.headers = {{"accept", "text/plain"}, {"content-length", "7"}};
    request.method = "PUT";
    request.body = "{}";
    auto head = http::request_head(request, "h:1", "/base");
    ASSERT_TRUE(head);
    EXPECT_EQ(*head,
              "PUT /base/a HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\naccept: text/plain\r\n"
              "content-type: application/json\r\ncontent-length: 2\r\n\r\n");
}

TEST(HttpMessage, ErrorResponseIsJsonWhateverTheText) {
    auto response = error_response(404, "no \"x\\y\"\n\xc3\xa9");
    EXPECT_EQ(response.status, 404U);
    EXPECT_EQ(response.body, "{\"error\":\"no \\\"x\\\\y\\\"???\"}\n");
}

}  // namespace
}  // namespace wglan
