// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/access.h"

#include <cstdlib>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "agent/base/file.h"
#include "agent/base/text.h"

namespace wglan {
namespace {

constexpr std::size_t kMaxFile = 4U << 20, kMaxCertificate = 1U << 20;

struct Wanted {
    const char* key;
    const char* instead;
};
constexpr Wanted kRefusedOfUsers[] = {
    {"exec",
     "exec plugins aren't run; make a service account's token (kubectl create token) and use "
     "`token` or `tokenFile`"},
    {"auth-provider",
     "authentication providers were removed from Kubernetes 1.26; use `token` or `tokenFile`"},
    {"username",
     "passwords were removed from Kubernetes 1.19; use `token`, `tokenFile` or a client certificate"},
    {"as", "impersonation isn't done; name a user of its own"},
};
constexpr Wanted kRefusedOfClusters[] = {
    {"proxy-url", "proxies aren't used; the API server must be reached directly"},
};

// What a file names, or holds in base64.
struct Source {
    const char* file;
    const char* data;
};
constexpr Source kAuthority{"certificate-authority", "certificate-authority-data"};
constexpr Source kCertificate{"client-certificate", "client-certificate-data"};
constexpr Source kKey{"client-key", "client-key-data"};

Result<std::string> text_at(const YAML::Node& map, const char* key) {
    const YAML::Node value = map[key];
    if (!value || value.IsNull()) return std::string();
    if (!value.IsScalar()) return fail(ErrorKind::invalid, fmt::format("`{}` must be text", key));
    return value.Scalar();
}

bool is_here(const std::string& host) {
    const auto address = IpAddress::parse(host);
    return host == "localhost" || (address && address->is_loopback());
}

class Kubeconfig {
public:
    Kubeconfig(YAML::Node root, std::filesystem::path folder)
        : root_(std::move(root)), folder_(std::move(folder)) {}

    Result<KubeAccess> access(std::string context) const {
        if (!root_.IsMap()) return fail(ErrorKind::invalid, "not a kubeconfig");
        if (context.empty()) {
            auto current = text_at(root_, "current-context");
            if (!current) return Failure(current.error());
            context = *current;
        }
        if (context.empty()) return fail(ErrorKind::invalid, "there is no `current-context`");
        const auto chosen = entry("contexts", context, "context");
        if (!chosen) return Failure(chosen.error());
        const auto cluster_name = text_at(*chosen, "cluster"), user_name = text_at(*chosen, "user");
        if (!cluster_name) return Failure(cluster_name.error());
        if (!user_name) return Failure(user_name.error());
        KubeAccess access;
        const auto cluster = entry("clusters", *cluster_name, "cluster");
        if (!cluster) return Failure(cluster.error());
        if (auto read = read_cluster(*cluster, access); !read)
            return fail_with(read, "cluster " + quote(*cluster_name));
        if (user_name->empty()) return access;
        const auto user = entry("users", *user_name, "user");
        if (!user) return Failure(user.error());
        if (auto read = read_user(*user, access); !read) return fail_with(read, "user " + quote(*user_name));
        return access;
    }

private:
    // users: [{name: N, user: {...}}], and the like.
    Result<YAML::Node> entry(const char* list, const std::string& name, const char* key) const {
        const YAML::Node entries = root_[list];
        if (entries && entries.IsSequence())
            for (const auto& one : entries) {
                if (!one.IsMap()) continue;
                const auto own = text_at(one, "name");
                if (!own || *own != name) continue;
                const YAML::Node found = one[key];
                if (!found || found.IsNull()) return YAML::Node(YAML::NodeType::Map);
                if (!found.IsMap())
                    return fail(ErrorKind::invalid, fmt::format("{}: {} must be a map", list, quote(name)));
                return found;
            }
        return fail(ErrorKind::invalid, fmt::format("{}: there is no {}", list, quote(name)));
    }

    template <std::size_t N>
    static Result<> refuse(const YAML::Node& map, const Wanted (&refused)[N]) {
        for (const auto& [key, instead] : refused)
            if (map[key] && !map[key].IsNull())
                return fail(ErrorKind::unsupported, fmt::format("`{}`: {}", key, instead));
        return {};
    }

    Result<> read_cluster(const YAML::Node& cluster, KubeAccess& access) const {
        if (auto refused = refuse(cluster, kRefusedOfClusters); !refused) return refused;
        const auto skip = text_at(cluster, "insecure-skip-tls-verify");
        if (skip && (*skip == "true" || *skip == "True"))
            return fail(ErrorKind::unsupported,
                        "`insecure-skip-tls-verify`: an API server that isn't verified isn't used; give its "
                        "certificate-authority");
        const auto server = text_at(cluster, "server"), name = text_at(cluster, "tls-server-name");
        if (!server) return Failure(server.error());
        if (!name) return Failure(name.error());
        auto url = Url::parse(*server);
        if (!url) return fail_with(url, "`server`");
        if (!url->tls && !is_here(url->host))
            return fail(
                ErrorKind::unsupported,
                "`server`: without TLS (http://) a server on this host alone is used (kubectl proxy)");
        access.server = std::move(*url);
        access.server_name = *name;
        auto authority = pem(cluster, kAuthority);
        if (!authority) return Failure(authority.error());
        access.ca_pem = std::string(authority->text());
        return {};
    }

    Result<> read_user(const YAML::Node& user, KubeAccess& access) const {
        if (auto refused = refuse(user, kRefusedOfUsers); !refused) return refused;
        auto token = text_at(user, "token");
        const auto file = text_at(user, "tokenFile");
        if (!token) return Failure(token.error());
        if (!file) return Failure(file.error());
        if (!file->empty()) access.token_file = folder_ / *file;
        if (!token->empty() && file->empty())
            access.token = std::make_shared<const Secret>(Secret::take(*token));
        auto certificate = pem(user, kCertificate), key = pem(user, kKey);
        if (!certificate) return Failure(certificate.error());
        if (!key) return Failure(key.error());
        if (certificate->empty() != key->empty())
            return fail(ErrorKind::invalid, "a client certificate and its key come together");
        access.certificate_pem = std::string(certificate->text());
        if (!key->empty()) access.key_pem = std::make_shared<const Secret>(std::move(*key));
        return {};
    }

    // Data wins over a file, as in kubectl. Empty: there is neither.
    Result<Secret> pem(const YAML::Node& map, const Source& source) const {
        auto data = text_at(map, source.data);
        const auto file = text_at(map, source.file);
        if (!data) return Failure(data.error());
        if (!file) return Failure(file.error());
        if (!data->empty()) {
            // Wrapped lines are no fault: kubectl takes them too.
            std::erase_if(*data, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
            auto decoded = base64_decode(*data);
            wipe(*data);
            if (!decoded) return fail(ErrorKind::invalid, fmt::format("`{}` isn't base64", source.data));
            return Secret::take(*decoded);
        }
        if (file->empty()) return Secret();
        auto content = read_secret_file(folder_ / *file, kMaxCertificate);
        if (!content) return fail_with(content, fmt::format("`{}`", source.file));
        return content;
    }

    YAML::Node root_;
    std::filesystem::path folder_;
};

}  // namespace

bool operator==(const KubeAccess& left, const KubeAccess& right) {
    const auto same = [](const std::shared_ptr<const Secret>& a, const std::shared_ptr<const Secret>& b) {
        return a && b ? a->text() == b->text() : !a && !b;
    };
    return left.server.to_string() == right.server.to_string() && left.ca_pem == right.ca_pem &&
           left.server_name == right.server_name && left.token_file == right.token_file &&
           same(left.token, right.token) && left.certificate_pem == right.certificate_pem &&
           same(left.key_pem, right.key_pem);
}

Environment process_environment() {
    return [](const char* name) -> std::optional<std::string> {
        const char* value = std::getenv(name);
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
}

Result<KubeAccess> read_kubeconfig(const std::filesystem::path& path, const std::string& context) {
    const std::string what = "kubeconfig " + path.string();
    const auto text = read_secret_file(path, kMaxFile);
    if (!text) return fail_with(text, what);
    YAML::Node root;
    try {
        root = YAML::Load(std::string(text->text()));
        auto access = Kubeconfig(root, path.parent_path()).access(context);
        return access ? std::move(access) : fail_with(access, what);
    } catch (const YAML::Exception& error) {
        // The message holds positions, never content.
        return fail(ErrorKind::invalid, fmt::format("{}: line {}: {}", what, error.mark.line + 1, error.msg));
    }
}

Result<KubeAccess> in_cluster_access(const Environment& environment, const std::filesystem::path& account) {
    const auto host = environment("KUBERNETES_SERVICE_HOST"), port = environment("KUBERNETES_SERVICE_PORT");
    if (!host || host->empty() || !port || port->empty())
        return fail(ErrorKind::not_found, "not in a pod: KUBERNETES_SERVICE_HOST and _PORT aren't set");
    const bool bare_v6 = host->find(':') != std::string::npos && !host->starts_with('[');
    auto url = Url::parse("https://" + (bare_v6 ? "[" + *host + "]" : *host) + ":" + *port);
    if (!url) return fail_with(url, "KUBERNETES_SERVICE_HOST and _PORT");
    KubeAccess access;
    access.server = std::move(*url);
    // Not `not_found`, also where the files are: it is a pod, and this is missing there.
    const auto missing = [](const Error& error) {
        return fail(ErrorKind::io, "the service account: " + error.message());
    };
    auto authority = read_file(account / "ca.crt", kMaxCertificate);
    if (!authority) return missing(authority.error());
    access.ca_pem = std::move(*authority);
    access.token_file = account / "token";
    if (auto token = read_secret_file(access.token_file); !token) return missing(token.error());
    return access;
}

}  // namespace wglan
