// SPDX-License-Identifier: Apache-2.0
// The command line of wglanctl as one value.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/result.h"

namespace wglan::ctl {

// Exit statuses are part of the interface.
enum Exit : int { kOk = 0, kFailed = 1, kUsage = 2, kNoAgent = 3 };

enum class Command {
    status,
    peers,
    routes,
    explain,
    monitor,
    doctor,
    record,
    keys_show,
    token_new,
    completion,
    unavailable
};
enum class Output { table, json, yaml };

struct Options {
    Command command = Command::status;
    std::string command_name;  // as typed: "keys show"
    std::string socket = "/run/wglan/agent.sock";
    Output output = Output::table;

    bool watch = false;
    bool wait_ready = false;
    std::chrono::milliseconds timeout{30000};
    std::optional<std::size_t> wait_peers;

    bool drops = false;  // monitor

    std::string name;                                 // peers, monitor
    std::string destination, source, protocol, mark;  // explain; checked by the agent
    std::string source_port, destination_port;
    std::string completion;  // the script itself
};

// Ends by being interrupted, and that is no failure.
inline bool goes_on(const Options& options) { return options.watch || options.command == Command::monitor; }

// The options, or the exit status when all is said (help, version, wrong usage).
std::variant<Options, Exit> parse_command_line(int argc, const char* const* argv);

// "30s", "500ms", "2m", "1h", "30" (seconds); more than 0, at most a day.
Result<std::chrono::milliseconds> parse_duration(const std::string& text);

}  // namespace wglan::ctl
