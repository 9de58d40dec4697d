// SPDX-License-Identifier: Apache-2.0
#include "tools/wglan-discovery/service/options.h"

#include <gmock/gmock.h>

namespace wglan::discovery_service {
namespace {

using testing::HasSubstr;

TEST(Options, ReadsEveryKeyAndJson) {
    ProgramOptions options;
    auto read = read_options(R"(listen: "127.0.0.1:8443"
tls: {certFile: /c, keyFile: /k}
insecureHTTP: false
limits:
  clusters: 5
  nodesPerCluster: 6
  memoryMiB: 64
  ratePerSecond: 7
  burst: 8
  connections: 9
  connectionsPerClient: 10
log: {format: json, level: debug}
)",
                             "f.yaml", options);
    ASSERT_TRUE(read) << read.error().message();
    ASSERT_TRUE(check_options(options));
    EXPECT_EQ(options.endpoint.to_string(), "127.0.0.1:8443");
    EXPECT_EQ(options.http.certificate_file, "/c");
    EXPECT_EQ(options.http.key_file, "/k");
    EXPECT_EQ(options.service.store.clusters, 5U);
    EXPECT_EQ(options.service.store.nodes, 6U);
    EXPECT_EQ(options.service.store.bytes, 64U << 20);
    EXPECT_EQ(options.service.rate, 7);
    EXPECT_EQ(options.service.burst, 8);
    EXPECT_EQ(options.http.max_connections, 9U);
    EXPECT_EQ(options.http.max_connections_per_client, 10U);
    EXPECT_EQ(options.log_level, "debug");
    EXPECT_TRUE(read_options("{\"insecureHTTP\": true}", "f.json", options));
    EXPECT_TRUE(options.insecure_http);
    EXPECT_TRUE(read_options("", "empty", options));
}

TEST(Options, ErrorsNameFileLineKeyAndWhatIsAccepted) {
    struct Row {
        const char* text;
        const char* part;
    };
    const Row rows[] = {
        {"listen: x\nlistem: y\n", "f:2: listem: unknown key; accepted: insecureHTTP, limits, listen"},
        {"limits:\n  nodes: 1\n", "f:2: limits.nodes: unknown key"},
        {"limits: 5\n", "f:1: limits: a map"},
        {"limits: {nodesPerCluster: 10001}", "f:1: limits.nodesPerCluster: a number from 1 to 10000"},
        {"limits: {burst: -1}", "limits.burst"},
        {"insecureHTTP: maybe", "true or false"},
        {"tls: {certFile: [a]}", "tls.certFile: a string"},
        {"- a", "document: a map"},
        {"a: [", "not YAML"},
        {"? {a: b}\n: c", "unknown key"},
    };
    for (const auto& row : rows) {
        ProgramOptions options;
        auto read = read_options(row.text, "f", options);
        ASSERT_FALSE(read) << row.text;
        EXPECT_EQ(read.error().kind(), ErrorKind::invalid);
        EXPECT_THAT(read.error().message(), HasSubstr(row.part));
    }
}

TEST(Options, PlainHttpNeedsLoopbackOrConsent) {
    auto check = [](const char* listen, bool insecure, const char* cert, const char* key) {
        ProgramOptions options;
        options.listen = listen;
        options.insecure_http = insecure;
        options.certificate_file = cert;
        options.key_file = key;
        return check_options(options);
    };
    EXPECT_TRUE(check("127.0.0.1:1", false, "", ""));
    EXPECT_TRUE(check("[::1]:1", false, "", ""));
    EXPECT_TRUE(check("192.0.2.1:1", true, "", ""));
    EXPECT_TRUE(check("192.0.2.1:1", false, "/c", "/k"));
    EXPECT_THAT(check("192.0.2.1:1", false, "", "").error().message(), HasSubstr("--insecure-http"));
    EXPECT_THAT(check("", false, "", "").error().message(), HasSubstr(":51821"));
    EXPECT_FALSE(check("127.0.0.1:1", false, "/c", ""));
    EXPECT_FALSE(check("127.0.0.1:1", true, "/c", "/k"));
    EXPECT_FALSE(check("nonsense", true, "", ""));
}

}  // namespace
}  // namespace wglan::discovery_service
