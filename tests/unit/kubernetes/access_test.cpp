// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/access.h"

#include <map>

#include <gmock/gmock.h>

#include "agent/base/file.h"
#include "tests/support/certificates.h"
#include "tests/unit/discovery/fixture.h"

namespace wglan::testing {
namespace {

using ::testing::HasSubstr;

class KubeconfigTest : public ::testing::Test {
protected:
    Result<KubeAccess> read(std::string_view text, const std::string& context = "") {
        const auto path = std::filesystem::path(directory_ / "config");
        EXPECT_TRUE(write_file_atomic(path, text, 0600));
        return read_kubeconfig(path, context);
    }
    // A kubeconfig with these lines for cluster and user.
    Result<KubeAccess> with(const std::string& cluster, const std::string& user) {
        return read(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n"
            "- {name: c, context: {cluster: k, user: u}}\n"
            "clusters:\n- name: k\n  cluster: {" +
            cluster + "}\nusers:\n- name: u\n  user: {" + user + "}\n");
    }
    void file(const char* name, std::string_view content) {
        ASSERT_TRUE(write_file_atomic(directory_ / name, content, 0600));
    }
    test::TempDir directory_;
};

TEST_F(KubeconfigTest, TokenAndAuthorityOfTheCurrentContext) {
    const auto access = must(with(
        "server: 'https://192.0.2.7:6443', certificate-authority-data: " + base64_encode(as_bytes("PEM")),
        "token: secret"));
    EXPECT_EQ(access.server.host, "192.0.2.7");
    EXPECT_EQ(access.server.port, 6443);
    EXPECT_TRUE(access.server.tls);
    EXPECT_EQ(access.ca_pem, "PEM");
    ASSERT_TRUE(access.token);
    EXPECT_EQ(access.token->text(), "secret");
    EXPECT_FALSE(access.key_pem);
}

TEST_F(KubeconfigTest, FilesAreRelativeToItsFolder) {
    file("ca.pem", "CA\n");
    file("me.pem", "CERT");
    file("me.key", "KEY");
    const auto access = must(with("server: 'https://[2001:db8::1]', certificate-authority: ca.pem",
                                  "client-certificate: me.pem, client-key: me.key"));
    EXPECT_EQ(access.server.port, 443);
    EXPECT_EQ(access.ca_pem, "CA");
    EXPECT_EQ(access.certificate_pem, "CERT");
    ASSERT_TRUE(access.key_pem);
    EXPECT_EQ(access.key_pem->text(), "KEY");
    EXPECT_FALSE(access.token);
}

TEST_F(KubeconfigTest, ATokenFileWinsOverAToken) {
    const auto access = must(with("server: 'https://a:1'", "tokenFile: t, token: old"));
    EXPECT_EQ(access.token_file, directory_ / "t");
    EXPECT_FALSE(access.token);
}

TEST_F(KubeconfigTest, AnotherContextCanBeChosen) {
    const char* text =
        "current-context: a\n"
        "contexts: [{name: a, context: {cluster: a, user: a}}, {name: b, context: {cluster: b}}]\n"
        "clusters: [{name: a, cluster: {server: 'https://a'}}, {name: b, cluster: {server: "
        "'http://localhost:80'}}]\n"
        "users: [{name: a, user: {token: x}}]\n";
    EXPECT_EQ(must(read(text)).server.host, "a");
    EXPECT_EQ(must(read(text, "b")).server.host, "localhost");
    EXPECT_FALSE(must(read(text, "b")).token);
    EXPECT_THAT(message(read(text, "c")), HasSubstr("there is no \"c\""));
}

TEST_F(KubeconfigTest, JsonWithTabsAndWrappedBase64) {
    const auto access = must(
        read("{\n\t\"kind\": \"Config\",\n\t\"current-context\": \"c\",\n\t\"contexts\": [\n\t\t{\"name\": "
             "\"c\", \"context\": {\"cluster\": \"k\", \"user\": \"u\"}}\n\t],\n\t\"clusters\": [{\"name\": "
             "\"k\", "
             "\"cluster\": {\"server\": \"https:\\/\\/192.0.2.7\", \"certificate-authority-data\": "
             "\"UE\\nVN\\n\"}}],\n\t\"users\": [{\"name\": \"u\", \"user\": {\"token\": \"secret\"}}]\n}\n"));
    EXPECT_EQ(access.server.host, "192.0.2.7");
    EXPECT_EQ(access.ca_pem, "PEM");
    EXPECT_EQ(access.token->text(), "secret");
}

TEST_F(KubeconfigTest, WhatChangesInAFileIsSeen) {
    const auto first = must(with("server: 'https://a'", "token: x"));
    EXPECT_TRUE(first == must(with("server: 'https://a'", "token: x")));
    EXPECT_FALSE(first == must(with("server: 'https://a'", "token: y")));
    EXPECT_FALSE(first == must(with("server: 'https://a'", "tokenFile: x")));
    EXPECT_FALSE(first == must(with("server: 'https://a:7'", "token: x")));
    EXPECT_FALSE(first == must(with("server: 'https://a', tls-server-name: b", "token: x")));
    EXPECT_FALSE(first == must(with("server: 'https://a', certificate-authority-data: QQ==", "token: x")));
    const char* pair = "client-certificate-data: QQ==, client-key-data: ";
    EXPECT_FALSE(must(with("server: 'https://a'", std::string(pair) + "QQ==")) ==
                 must(with("server: 'https://a'", std::string(pair) + "Qg==")));
}

struct Refused {
    const char* cluster;
    const char* user;
    const char* says;
};

TEST_F(KubeconfigTest, SaysWhatItCannotDoAndWhatWould) {
    const char* server = "server: 'https://a'";
    for (const auto& [cluster, user, says] : {
             Refused{server, "exec: {command: aws}", "exec plugins aren't run"},
             {server, "auth-provider: {name: gcp}", "removed from Kubernetes 1.26"},
             {server, "username: me, password: hunter2", "passwords were removed"},
             {server, "client-certificate-data: QQ==", "come together"},
             {server,
              "client-key-data: '?', client-certificate-data: QQ==", "`client-key-data` isn't base64"},
             {server, "client-key: gone, client-certificate-data: QQ==", "gone"},
             {server, "token: [x]", "`token` must be text"},
             {"server: 'https://a', insecure-skip-tls-verify: true", "", "isn't verified isn't used"},
             {"server: 'https://a', proxy-url: 'http://p'", "", "proxies aren't used"},
             {"server: 'http://192.0.2.7:8080'", "", "without TLS"},
             {"server: nonsense", "", "`server`"},
             {"", "", "`server`"},
         }) {
        const auto access = with(cluster, user);
        ASSERT_FALSE(access) << says;
        EXPECT_THAT(message(access), HasSubstr(says));
        EXPECT_THAT(message(access), HasSubstr("kubeconfig "));
        EXPECT_EQ(message(access).find("hunter2"), std::string::npos);
    }
}

TEST_F(KubeconfigTest, NonsenseIsNamedAndNothingMore) {
    for (const char* text : {"", "[]", "a: [", "current-context: x", "current-context: [x]",
                             "current-context: c\ncontexts: [1, {name: c, context: 7}]",
                             "current-context: c\ncontexts: {name: c}", "\t- : token: hunter2"}) {
        const auto access = read(text);
        EXPECT_FALSE(access) << text;
        EXPECT_EQ(message(access).find("hunter2"), std::string::npos) << message(access);
    }
    EXPECT_THAT(message(read_kubeconfig(directory_ / "absent")), HasSubstr("absent"));
}

TEST_F(KubeconfigTest, InAPod) {
    std::map<std::string, std::string> variables;
    const Environment environment = [&](const char* name) -> std::optional<std::string> {
        const auto it = variables.find(name);
        return it == variables.end() ? std::nullopt : std::optional(it->second);
    };
    const auto access = [&] { return in_cluster_access(environment, directory_ / ""); };
    EXPECT_EQ(access().error().kind(), ErrorKind::not_found);
    variables = {{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}};
    EXPECT_THAT(message(access()), HasSubstr("ca.crt"));
    EXPECT_NE(access().error().kind(), ErrorKind::not_found) << "it is a pod, though half of one";
    file("ca.crt", "CA");
    EXPECT_THAT(message(access()), HasSubstr("token"));
    file("token", "T\n");
    const auto found = must(access());
    EXPECT_EQ(found.server.host, "fd00::1");
    EXPECT_EQ(found.server.port, 443);
    EXPECT_TRUE(found.server.tls);
    EXPECT_EQ(found.ca_pem, "CA");
    EXPECT_EQ(found.token_file, directory_ / "token");
    variables["KUBERNETES_SERVICE_HOST"] = "[fd00::1]";
    EXPECT_EQ(must(access()).server.host, "fd00::1");
    variables["KUBERNETES_SERVICE_PORT"] = "no";
    EXPECT_FALSE(access());
}

}  // namespace
}  // namespace wglan::testing
