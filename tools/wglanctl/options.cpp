// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/options.h"

#include <charconv>

#include <CLI/CLI.hpp>

#include "agent/base/ip.h"
#include "tools/wglanctl/completion.h"

namespace wglan::ctl {
namespace {

constexpr const char* kNotAvailable = "not available in this version";

std::string is_address(const std::string& text) {
    auto address = IpAddress::parse(text);
    return address ? std::string() : address.error().message();
}

// Builds the parser; callbacks of CLI11 fill the options.
class Parser {
public:
    Parser() {
        app_.set_version_flag("--version", std::string("wglanctl ") + WGLAN_VERSION);
        app_.failure_message([](const CLI::App*, const CLI::Error& error) {
            return std::string("wglanctl: ") + error.what() + "\nRun with --help for more information.\n";
        });
        app_.require_subcommand(1);
        app_.fallthrough();
        app_.add_option("--socket", options_.socket,
                        "The agent's control socket (default " + options_.socket + ")")
            ->type_name("PATH");
        add_output(app_);
        app_.footer(
            "Exit status: 0 success, 1 failure, 2 wrong usage, 3 no agent answers at the socket.\n"
            "`wglanctl COMMAND --help` tells more of a command.");
        add_status();
        add_reads();
        add_explain();
        add_monitor();
        add_doctor();
        add_keys();
        add_completion();
        add_unavailable();
    }

    std::variant<Options, Exit> parse(int argc, const char* const* argv) {
        try {
            app_.parse(argc, argv);
        } catch (const CLI::RequiredError& error) {
            // CLI11 asks for a command even where an unknown one stands.
            auto words = app_.remaining();
            if (words.empty()) return app_.exit(error) == 0 ? kOk : kUsage;
            app_.exit(CLI::ExtrasError("wglanctl", {words.front()}));
            return kUsage;
        } catch (const CLI::ParseError& error) {
            // Help and version count as errors of value 0 here.
            return app_.exit(error) == 0 ? kOk : kUsage;
        }
        if (options_.command == Command::completion) options_.completion = bash_completion(app_);
        return options_;
    }

private:
    CLI::App* command(CLI::App& parent, const std::string& name, const std::string& help, Command value) {
        CLI::App* sub = parent.add_subcommand(name, help);
        std::string full = &parent == &app_ ? name : parent.get_name() + " " + name;
        sub->callback([this, value, full] {
            options_.command = value;
            options_.command_name = full;
        });
        return sub;
    }

    void add_output(CLI::App& app) {
        auto set = [this](const std::string& text) {
            if (text == "table")
                options_.output = Output::table;
            else if (text == "json")
                options_.output = Output::json;
            else if (text == "yaml")
                options_.output = Output::yaml;
            else
                throw CLI::ValidationError("--output", "\"" + text + "\": table, json or yaml is accepted");
        };
        app.add_option_function<std::string>("-o,--output", set, "table, json or yaml (default table)")
            ->type_name("FORMAT");
    }

    CLI::App* read_command(const std::string& name, const std::string& help, Command value) {
        CLI::App* sub = command(app_, name, help, value);
        add_output(*sub);
        return sub;
    }

    void add_status() {
        CLI::App* sub =
            read_command("status", "This node, its sources, peers and steering at a glance", Command::status);
        auto* watch = sub->add_flag("--watch,-w", options_.watch, "Redraw every second until Ctrl-C");
        auto* wait = sub->add_flag("--wait-ready", options_.wait_ready,
                                   "Wait until the sources are synced and the peers up; exit 1 on time-out");
        wait->excludes(watch);
        sub->add_option_function<std::string>(
               "--timeout",
               [this](const std::string& text) {
                   auto limit = parse_duration(text);
                   if (!limit) throw CLI::ValidationError("--timeout", limit.error().message());
                   options_.timeout = *limit;
               },
               "How long to wait at most (default 30s)")
            ->type_name("DURATION")
            ->needs(wait);
        sub->add_option("--peers", options_.wait_peers,
                        "How many peers must be up (default: all known, at least one)")
            ->check(CLI::Range(0U, 100000U))
            ->type_name("N")
            ->needs(wait);
    }

    void add_reads() {
        CLI::App* peers =
            read_command("peers", "Each peer; with a name, all there is to know of one", Command::peers);
        peers->add_option("NAME", options_.name, "A peer's name or public key")->type_name("");
        read_command("routes", "Every steered prefix, and the claims that were refused", Command::routes);
        read_command("record", "The record that this node publishes", Command::record);
    }

    void add_explain() {
        CLI::App* sub =
            read_command("explain", "What happens to a packet for DST here, step by step", Command::explain);
        sub->add_option("DST", options_.destination, "Destination address")
            ->required()
            ->check(is_address)
            ->type_name("");
        sub->add_option("--src", options_.source, "Source address")->check(is_address)->type_name("IP");
        auto* protocol =
            sub->add_option("--proto", options_.protocol, "tcp, udp, icmp, icmpv6, sctp or a number")
                ->type_name("P");
        sub->add_option("--dport", options_.destination_port, "Destination port")
            ->type_name("N")
            ->needs(protocol);
        sub->add_option("--sport", options_.source_port, "Source port")->type_name("N")->needs(protocol);
        sub->add_option("--mark", options_.mark, "Firewall mark of the packet")->type_name("MARK");
    }

    void add_monitor() {
        CLI::App* sub = read_command(
            "monitor", "Live events until Ctrl-C: drops, too-big answers, clamped MSS, sampled flows",
            Command::monitor);
        sub->add_flag("--drops", options_.drops, "Only what was dropped, with the reason");
        sub->add_option("--peer", options_.name, "Only what concerns this peer")->type_name("NAME");
    }

    void add_doctor() {
        read_command("doctor",
                     "Checks this host, the agent, and with its peers' help NAT and port; exit 1 on a fail",
                     Command::doctor);
    }

    void add_keys() {
        CLI::App* keys = app_.add_subcommand("keys", "This node's keys");
        keys->require_subcommand(1);
        CLI::App* show = command(*keys, "show", "Public key and age", Command::keys_show);
        add_output(*show);
        unavailable(*keys, "rotate", "Change the key without loss");
        CLI::App* token = app_.add_subcommand("token", "Cluster tokens");
        token->require_subcommand(1);
        command(*token, "new", "Print a fresh token: 32 random bytes", Command::token_new);
    }

    void add_completion() {
        CLI::App* completion = app_.add_subcommand("completion", "Completion scripts for shells");
        completion->require_subcommand(1);
        command(*completion, "bash", "For bash: source <(wglanctl completion bash)", Command::completion);
    }

    void unavailable(CLI::App& parent, const std::string& name, const std::string& help) {
        command(parent, name, help + " (" + kNotAvailable + ")", Command::unavailable)
            ->allow_extras()
            ->fallthrough(false);  // whatever stands behind it is its own
    }

    void add_unavailable() {
        group("policy", "Policies",
              {{"check", "Validate a policy"},
               {"show", "Show the policy in force"},
               {"test", "Simulate a policy"}});
        group("peer", "Actions on a peer",
              {{"revoke", "Remove a peer for good"},
               {"quarantine", "Stop traffic with a peer"},
               {"restore", "Undo a quarantine"}});
        group("client", "People's devices",
              {{"add", "Make a configuration for a device"},
               {"list", "List devices"},
               {"remove", "Remove a device"}});
    }

    void group(const std::string& name, const std::string& help,
               const std::vector<std::pair<std::string, std::string>>& actions) {
        CLI::App* sub = app_.add_subcommand(name, help + " (" + kNotAvailable + ")");
        sub->require_subcommand(1);
        for (const auto& [action, what] : actions) unavailable(*sub, action, what);
    }

    CLI::App app_{"Shows and controls the WgLAN agent of this node.", "wglanctl"};
    Options options_;
};

}  // namespace

std::variant<Options, Exit> parse_command_line(int argc, const char* const* argv) {
    return Parser().parse(argc, argv);
}

Result<std::chrono::milliseconds> parse_duration(const std::string& text) {
    static constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {
        {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
    constexpr std::int64_t kMost = 86'400'000;
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && value > 0 && value <= kMost)
        for (const auto& [unit, factor] : kUnits)
            if (unit == std::string_view(rest, static_cast<std::size_t>(end - rest)) &&
                value * factor <= kMost)
                return std::chrono::milliseconds(value * factor);
    return fail(ErrorKind::invalid,
                "\"" + text + "\": a time such as 500ms, 30s or 2m is accepted, a day at most");
}

}  // namespace wglan::ctl
