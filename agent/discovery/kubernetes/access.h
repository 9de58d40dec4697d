// SPDX-License-Identifier: Apache-2.0
// Where the API server is and how to be let in: from a kubeconfig file, or from what every pod is given.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/base/keys.h"
#include "agent/http/http.h"

namespace wglan {

struct KubeAccess {
    Url server;
    std::string ca_pem;       // "" = the system's
    std::string server_name;  // that the certificate must have; "" = server.host
    // One of these, or a client certificate, or nothing at all (anonymous).
    std::filesystem::path token_file;  // read again before it is sent: tokens are renewed there
    std::shared_ptr<const Secret> token;
    std::string certificate_pem;  // of the client, with its chain
    std::shared_ptr<const Secret> key_pem;
};

bool operator==(const KubeAccess& left, const KubeAccess& right);

using ReadAccess = std::function<Result<KubeAccess>()>;
using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment process_environment();

// `context`: "" = the file's current one. Files that it names are relative to its own folder. `unsupported`
// says what a server or user there wants that isn't done here (exec plugins, passwords, proxies ...), and
// what would do.
Result<KubeAccess> read_kubeconfig(const std::filesystem::path& path, const std::string& context = "");
// KUBERNETES_SERVICE_HOST and _PORT, and the service account's folder. not_found: this is no pod.
Result<KubeAccess> in_cluster_access(
    const Environment& environment,
    const std::filesystem::path& account = "/var/run/secrets/kubernetes.io/serviceaccount");

}  // namespace wglan
