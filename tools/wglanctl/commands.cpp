// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/commands.h"

#include <iostream>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "agent/base/keys.h"
#include "tools/wglanctl/agent.h"
#include "tools/wglanctl/doctor.h"
#include "tools/wglanctl/render/formats.h"
#include "tools/wglanctl/render/readiness.h"
#include "tools/wglanctl/render/text.h"
#include "tools/wglanctl/render/views.h"
#include "tools/wglanctl/terminal.h"

namespace wglan::ctl {
namespace {

using Milliseconds = std::chrono::milliseconds;
using Render = std::string (*)(const Json&, const Style&);

Exit complain(const Complaint& complaint) {
    std::cerr << "wglanctl: " << complaint.text << '\n';
    return complaint.exit;
}

std::string formatted(const Options& options, const Json& answer, Render render) {
    switch (options.output) {
        case Output::json:
            return to_json_text(answer, stdout_is_terminal());
        case Output::yaml:
            return to_yaml_text(answer, stdout_is_terminal());
        case Output::table:
            break;
    }
    return render(answer, terminal_style());
}

Exit print(std::string_view text) {
    if (put(text)) return kOk;
    return complain({kFailed, "can't write to standard output"});
}

Task<void> pause(asio::io_context& io, Milliseconds time) {
    asio::steady_timer timer(io, time);
    co_await timer.async_wait(asio::use_awaitable);
}

// Every second until the program is told to end; an agent that goes away may come back.
Task<Exit> watch(asio::io_context& io, const Options& options, Agent& agent) {
    if (stdout_is_terminal() && !put("\x1b[2J")) co_return kFailed;
    for (;;) {
        auto status = co_await agent.get("/v1/status");
        if (!status && status.error().exit != kNoAgent) co_return complain(status.error());
        std::string text = status ? formatted(options, *status, render_status) : status.error().text + "\n";
        if (options.output == Output::yaml) text = "---\n" + text;
        if (stdout_is_terminal()) text = redraw(text, terminal_rows());
        if (!put(text)) co_return kFailed;
        co_await pause(io, Milliseconds(1000));
    }
}

Task<Exit> wait_ready(asio::io_context& io, const Options& options, Agent& agent) {
    auto deadline = std::chrono::steady_clock::now() + options.timeout;
    std::string missing;
    for (;;) {
        auto status = co_await agent.get("/v1/status");
        if (!status && status.error().exit != kNoAgent) co_return complain(status.error());
        missing = status ? missing_for_ready(*status, options.wait_peers) : status.error().text;
        if (missing.empty()) co_return print(formatted(options, *status, render_status));
        auto left = deadline - std::chrono::steady_clock::now();
        if (left <= Milliseconds(0)) break;
        co_await pause(io, std::min(Milliseconds(200), std::chrono::ceil<Milliseconds>(left)));
    }
    co_return complain(
        {kFailed, fmt::format("not ready after {} ms: {}", options.timeout.count(), printable(missing))});
}

Task<Exit> read(const Options& options, Agent& agent, std::string path, Render render, Query query) {
    auto answer = co_await agent.get(std::move(path), std::move(query));
    if (!answer) co_return complain(answer.error());
    co_return print(formatted(options, *answer, render));
}

// Not inside the coroutines: GCC 12 can't keep an initialiser list in a coroutine's frame (PR 102489).
Query peer_query(const Options& options) { return {{"name", options.name}}; }

Query explain_query(const Options& options) {
    return {{"dst", options.destination},        {"src", options.source},
            {"proto", options.protocol},         {"sport", options.source_port},
            {"dport", options.destination_port}, {"mark", options.mark}};
}

Query monitor_query(const Options& options) {
    return {{"drops", options.drops ? "1" : ""}, {"peer", options.name}};
}

std::string event_text(const Options& options, const Json& event) {
    switch (options.output) {
        case Output::json:
            return to_json_line(event, stdout_is_terminal());
        case Output::yaml:
            return "---\n" + to_yaml_text(event, stdout_is_terminal());
        case Output::table:
            break;
    }
    return render_event(event, terminal_style());
}

// Until the program is told to end, or the agent does.
Task<Exit> monitor(const Options& options, Agent& agent) {
    constexpr std::chrono::hours kAnyTime{24 * 365};  // nothing may happen for long
    auto stream = co_await agent.stream("/v1/monitor", monitor_query(options));
    if (!stream) co_return complain(stream.error());
    for (;;) {
        auto line = co_await (*stream)->read_line(kAnyTime);
        if (!line)
            co_return complain({kFailed, fmt::format("the agent at {} has ended the stream; it was stopped "
                                                     "or restarted",
                                                     options.socket)});
        Json event = parse_answer(*line);
        if (!event.is_object()) continue;
        std::string text = event_text(options, event);
        if (!put(text)) co_return kFailed;
    }
}

Task<Exit> one_peer(const Options& options, Agent& agent) {
    auto answer = co_await agent.get("/v1/peers", peer_query(options));
    if (!answer) co_return complain(answer.error());
    const Json& peers = list_at(*answer, {"peers"});
    if (peers.empty()) co_return complain({kFailed, "no peer named " + printable(options.name)});
    co_return print(formatted(options, peers.front(), render_peer));
}

Task<Exit> doctor(const Options& options, Agent& agent) {
    const Json answer = co_await examine(agent);
    const Exit printed = print(formatted(options, answer, render_doctor));
    if (printed != kOk) co_return printed;
    co_return count_at(answer, {"summary", "fail"}) == 0 ? kOk : kFailed;
}

Exit new_token() {
    if (auto ready = init_crypto(); !ready) return complain({kFailed, ready.error().message()});
    Secret random = Secret::random(32);
    std::string text = base64url_encode(random.bytes()) + "\n";
    Exit exit = print(text);
    wipe(text);
    return exit;
}

}  // namespace

Task<Exit> run_command(asio::io_context& io, Options options) {
    if (options.command == Command::unavailable)
        co_return complain({kUsage, options.command_name + ": not available in this version"});
    if (options.command == Command::token_new) co_return new_token();
    if (options.command == Command::completion) co_return print(options.completion);

    Agent agent(io, options.socket);
    switch (options.command) {
        case Command::status:
            if (options.watch) co_return co_await watch(io, options, agent);
            if (options.wait_ready) co_return co_await wait_ready(io, options, agent);
            co_return co_await read(options, agent, "/v1/status", render_status, Query());
        case Command::peers:
            if (!options.name.empty()) co_return co_await one_peer(options, agent);
            co_return co_await read(options, agent, "/v1/peers", render_peers, Query());
        case Command::routes:
            co_return co_await read(options, agent, "/v1/routes", render_routes, Query());
        case Command::monitor:
            co_return co_await monitor(options, agent);
        case Command::doctor:
            co_return co_await doctor(options, agent);
        case Command::record:
            co_return co_await read(options, agent, "/v1/record", render_record, Query());
        case Command::keys_show:
            co_return co_await read(options, agent, "/v1/keys", render_keys, Query());
        case Command::explain:
            co_return co_await read(options, agent, "/v1/explain", render_explanation,
                                    explain_query(options));
        default:
            co_return complain({kFailed, options.command_name + ": no such command"});
    }
}

}  // namespace wglan::ctl
