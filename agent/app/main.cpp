// SPDX-License-Identifier: Apache-2.0
// wglan-agent: command line.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "agent/app/modes.h"
#include "agent/app/version.h"
#include "agent/base/keys.h"
#include "agent/base/log.h"

namespace {

wglan::ConfigInput config_input(std::string file, std::vector<std::string> patches) {
    wglan::ConfigInput input;
    input.file = std::move(file);
    input.patch_files = std::move(patches);
    for (const char* name : {"NODE_NAME", "WGLAN_CLUSTER_TOKEN", "WGLAN_CLUSTER_TOKEN_FILE"})
        if (const char* value = std::getenv(name)) input.environment[name] = value;
    char host[256] = {};
    if (::gethostname(host, sizeof host - 1) == 0) input.host_name = host;
    return input;
}

}  // namespace

int main(int argc, char** argv) {
    std::string config_file, log_format = "text", log_level = "info";
    std::vector<std::string> patches;
    bool check = false, dry_run = false, cleanup = false;

    CLI::App app{"Joins this node to a WireGuard mesh and steers node and pod traffic into it.",
                 "wglan-agent"};
    app.set_version_flag("--version", std::string("wglan-agent ") + wglan::kVersion);
    app.add_option("--config", config_file,
                   "configuration file (YAML or JSON); without it: defaults and environment")
        ->type_name("FILE");
    app.add_option("--config-patch", patches,
                   "RFC 6902 JSON patch (JSON or YAML) on the configuration; repeatable")
        ->type_name("FILE")
        ->take_all();
    auto* check_flag = app.add_flag("--check", check, "validate the configuration and exit");
    auto* dry_flag =
        app.add_flag("--dry-run", dry_run, "print what would change in the kernel, change nothing");
    app.add_flag("--cleanup", cleanup,
                 "remove all that the agent made on this node, withdraw its record, and exit")
        ->excludes(check_flag)
        ->excludes(dry_flag);
    dry_flag->excludes(check_flag);
    app.add_option("--log-format", log_format, "text or json")->type_name("FORMAT");
    app.add_option("--log-level", log_level, "trace, debug, info, warn or error")->type_name("LEVEL");
    app.footer(
        "Environment: NODE_NAME, WGLAN_CLUSTER_TOKEN, WGLAN_CLUSTER_TOKEN_FILE.\n"
        "SIGHUP reloads the configuration; SIGTERM ends the agent and leaves traffic flowing.\n"
        "Exit status: 0 success, 1 runtime failure, 2 wrong usage or invalid configuration.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? wglan::kExitOk : wglan::kExitUsage;
    }
    auto format = wglan::parse_log_format(log_format);
    auto logging =
        format ? wglan::setup_logging(*format, log_level) : wglan::Result<>(tl::unexpect, format.error());
    if (!logging) {
        std::fprintf(stderr, "wglan-agent: %s\n", logging.error().message().c_str());
        return wglan::kExitUsage;
    }
    if (auto crypto = wglan::init_crypto(); !crypto) return wglan::exit_status(crypto.error());
    const wglan::ConfigInput input = config_input(config_file, patches);
    if (check) return wglan::run_check(input);
    if (dry_run) return wglan::run_dry_run(input);
    if (cleanup) return wglan::run_cleanup(input);
    return wglan::run_agent(input);
}
