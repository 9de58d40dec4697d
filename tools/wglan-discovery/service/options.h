// SPDX-License-Identifier: Apache-2.0
// The command line and the configuration file of wglan-discovery.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/log.h"
#include "tools/wglan-discovery/service/service.h"

namespace wglan::discovery_service {

struct ProgramOptions {
    std::string listen;  // "" = [::]:51821, or 0.0.0.0:51821 where there is no IPv6
    std::string certificate_file, key_file;
    bool insecure_http = false;
    std::string log_format;  // "" = text on a terminal, else JSON
    std::string log_level = "info";
    ServiceOptions service;
    HttpServerOptions http;

    Endpoint endpoint;  // `listen`, parsed
};

inline constexpr std::uint16_t kDefaultPort = 51821;

// Reads a YAML (or JSON) document over `options`. Unknown keys are errors; messages are "FILE:LINE: KEY:
// ...".
Result<> read_options(std::string_view text, const std::string& file, ProgramOptions& options);
// Checks what only makes sense together, and fills `endpoint`.
Result<> check_options(ProgramOptions& options);

// What to do after the arguments were read: run, or end with this status.
struct Parsed {
    ProgramOptions options;
    int exit_status = -1;  // -1 = run
};
// Prints help, version and errors itself.
Parsed parse_arguments(int argc, char** argv);

}  // namespace wglan::discovery_service
