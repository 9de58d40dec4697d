// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <exception>
#include <iostream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "tools/wglanctl/commands.h"
#include "tools/wglanctl/options.h"

namespace {

using namespace wglan::ctl;

Exit run(Options options) {
    boost::asio::io_context io(1);
    Exit exit = kOk;
    // Ends --watch and monitor; whoever interrupts anything else gets status 1.
    boost::asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        exit = goes_on(options) ? kOk : kFailed;
        io.stop();
    });
    boost::asio::co_spawn(io, run_command(io, options), [&](const std::exception_ptr& thrown, Exit result) {
        signals.cancel();
        io.stop();
        if (thrown) std::rethrow_exception(thrown);
        exit = result;
    });
    io.run();
    return exit;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    try {
        auto parsed = parse_command_line(argc, argv);
        if (const auto* exit = std::get_if<Exit>(&parsed)) return *exit;
        return run(std::get<Options>(std::move(parsed)));
    } catch (const std::exception& error) {
        std::cerr << "wglanctl: " << error.what() << '\n';
        return kFailed;
    }
}
