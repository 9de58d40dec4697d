// SPDX-License-Identifier: Apache-2.0
// Where the token comes from, and what is said of poor ones.
#include "config/draft.h"
#include "tests/unit/config/support.h"

namespace wglan {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class Token : public ConfigTest {
protected:
    void SetUp() override {
        ConfigTest::SetUp();
        input_.environment.clear();
    }
    std::string loaded_token(const std::string& text) {
        return std::string(good(text).cluster.token->text());
    }
};

const std::string kOther = "Zr5TqW8nBd3MvXc1LkJh7PfY";

TEST_F(Token, ConfigurationGoesBeforeEnvironment) {
    input_.environment["WGLAN_CLUSTER_TOKEN"] = kToken;
    EXPECT_EQ(loaded_token(""), kToken);
    EXPECT_EQ(loaded_token("cluster: {token: " + kOther + "}"), kOther);
    EXPECT_EQ(loaded_token("cluster: {tokenFile: " + put("t", kOther + "\r\n\n") + "}"), kOther);
    input_.environment.clear();
    input_.environment["WGLAN_CLUSTER_TOKEN_FILE"] = put("e", std::string(kToken) + "\n");
    EXPECT_EQ(loaded_token(""), kToken);
    EXPECT_EQ(loaded_token("cluster: {token: " + kOther + "}"), kOther);
    input_.environment["WGLAN_CLUSTER_TOKEN"] = "";  // empty is not set
    EXPECT_EQ(loaded_token(""), kToken);
}

TEST_F(Token, TheSameTextIsTheSameTokenWhereverItStands) {
    EXPECT_EQ(loaded_token("cluster:\n  token: |\n    " + kOther + "\n"), kOther);
    input_.environment["WGLAN_CLUSTER_TOKEN"] = kOther + "\n";
    EXPECT_EQ(loaded_token(""), kOther);
    EXPECT_EQ(loaded_token("cluster: {token: 12345678901234567890}"), "12345678901234567890");
}

TEST_F(Token, ExactlyOneMayBeGiven) {
    EXPECT_THAT(error("cluster:\n  token: " + kOther + "\n  tokenFile: /t"),
                StartsWith("c.yaml:3: cluster.tokenFile: cluster.token is given too, at c.yaml:2"));
    input_.environment["WGLAN_CLUSTER_TOKEN"] = kToken;
    input_.environment["WGLAN_CLUSTER_TOKEN_FILE"] = "/t";
    EXPECT_THAT(error(""), HasSubstr("are both set; accepted: one of them"));
    EXPECT_EQ(loaded_token("cluster: {token: " + kOther + "}"), kOther);
}

TEST_F(Token, OneIsNeeded) {
    EXPECT_THAT(error("node: {}"),
                AllOf(StartsWith("c.yaml: cluster.token: no token is given"),
                      HasSubstr("WGLAN_CLUSTER_TOKEN_FILE"), HasSubstr("wglanctl token new")));
    input_.token_required = false;
    const Config c = good("");
    EXPECT_FALSE(c.cluster.token);
    EXPECT_EQ(c.cluster.discovery_id, "");
    EXPECT_FALSE(good("cluster: {tokenFile: /nonexistent/token}").cluster.token);
}

TEST_F(Token, ShortOnesAreRefusedWithoutBeingShown) {
    const auto refused = [&](const std::string& text, const std::string& start) {
        const std::string message = error(text);
        EXPECT_THAT(message, StartsWith(start));
        EXPECT_THAT(message, HasSubstr("accepted: at least 16 bytes"));
        EXPECT_THAT(message, Not(HasSubstr("s3cr3t")));
        EXPECT_EQ(kind_, ErrorKind::invalid);
    };
    refused("cluster:\n  token: s3cr3tXY1234567", "c.yaml:2: cluster.token: the token has only 15 bytes");
    const std::string path = put("t", "s3cr3t\n");
    refused("cluster: {tokenFile: " + path + "}",
            "c.yaml:1: cluster.tokenFile (t): the token has only 6 bytes");
    refused("cluster: {tokenFile: " + put("t", "\n") + "}",
            "c.yaml:1: cluster.tokenFile (t): the token has only 0 bytes");
    input_.environment["WGLAN_CLUSTER_TOKEN"] = "s3cr3t";
    refused("", "WGLAN_CLUSTER_TOKEN: the token has only 6 bytes");
    EXPECT_THAT(error("cluster: {token: ''}"), StartsWith("c.yaml:1: cluster.token: empty; accepted: text"));
}

TEST_F(Token, MissingFileIsNamedWithItsKey) {
    const auto loaded = load("cluster:\n  tokenFile: /nonexistent/token");
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind(), ErrorKind::not_found);
    EXPECT_THAT(loaded.error().message(),
                HasSubstr("c.yaml:2: cluster.tokenFile: read /nonexistent/token: "));
}

TEST_F(Token, WeakOnesAreWarnedAbout) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"aaaaaaaaaaaaaaaaaaaaaaaa", "few distinct"}, {"abababcdcdcdefefefab", "few distinct"},
        {"83920174650192837465", "all digits"},       {"k3J9xQ2mk3J9xQ2mk3J9xQ2m", "repeats"},
        {"abcdefghijklmnopqrstuvwx", "sequence"},     {"zyxwvutsrqponmlkjihg", "sequence"},
        {"my-Password-is-9x2Q7!", "common word"},     {"CHANGEME-7f2k9d3m1q8z", "common word"},
        {"k1k9k1k3k1k7k1kxkqkw", "little entropy"},
    };
    for (const auto& [token, why] : table) {
        EXPECT_THAT(config::token_weakness(token), HasSubstr(why)) << token;
        const auto loaded = load("cluster: {token: \"" + token + "\"}");
        ASSERT_TRUE(loaded) << token;
        EXPECT_TRUE(loaded->config.cluster.weak_token) << token;
        ASSERT_EQ(loaded->warnings.size(), 1U) << token;
        EXPECT_THAT(loaded->warnings[0], AllOf(HasSubstr("c.yaml:1: cluster.token: the token is weak"),
                                               HasSubstr(why), Not(HasSubstr(token))));
    }
}

TEST_F(Token, RandomOnesAreNot) {
    ASSERT_TRUE(init_crypto());
    for (int i = 0; i < 200; ++i) {
        const Secret random = Secret::random(32);
        EXPECT_EQ(config::token_weakness(base64_encode(random.bytes())), "") << base64_encode(random.bytes());
        EXPECT_EQ(config::token_weakness(hex_encode(random.bytes())), "") << hex_encode(random.bytes());
    }
}

TEST_F(Token, ReadableFilesAreWarnedAbout) {
    const std::string path = put("t", kOther, 0640);
    auto loaded = load("cluster: {tokenFile: " + path + "}");
    ASSERT_TRUE(loaded);
    EXPECT_THAT(loaded->warnings,
                ElementsAre(AllOf(StartsWith(path + ": holds the cluster token and has mode 0640"),
                                  HasSubstr("chmod 600"))));
    input_.file = put("open.yaml", "cluster: {token: " + kOther + "}", 0604);
    EXPECT_THAT(load_config(input_)->warnings,
                ElementsAre(HasSubstr("open.yaml: holds the cluster token and has mode 0604")));
    input_.file = put("closed.yaml", "cluster: {token: " + kOther + "}", 0600);
    EXPECT_THAT(load_config(input_)->warnings, IsEmpty());
}

TEST_F(Token, DiscoveryIdIsAlwaysAHash) {
    const std::string hex(64, 'a');
    EXPECT_EQ(good("cluster: {token: " + kOther + "}").cluster.discovery_id,
              hex_encode(sha256(as_bytes(kOther))));
    EXPECT_EQ(good("cluster: {token: " + kOther + ", discoveryID: " + hex + "}").cluster.discovery_id,
              hex_encode(sha256(as_bytes(hex))));
    EXPECT_THAT(error("cluster: {token: " + kOther + ", discoveryID: ''}"),
                StartsWith("c.yaml:1: cluster.discoveryID: "));
}

TEST_F(Token, PlainHttpIsWarnedAboutUnlessLocal) {
    input_.environment["WGLAN_CLUSTER_TOKEN"] = kToken;
    const auto loaded = load(
        "discovery: {services: [{url: 'http://127.0.0.1:1'}, {url: 'http://[::1]/x'}, "
        "{url: 'http://localhost'}, {url: 'https://192.0.2.1'}, {url: 'http://192.0.2.1:5'}]}");
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_THAT(loaded->warnings, ElementsAre(HasSubstr("\"http://192.0.2.1:5\" is plain HTTP")));
}

}  // namespace
}  // namespace wglan
