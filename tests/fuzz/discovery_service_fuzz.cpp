// SPDX-License-Identifier: Apache-2.0
// deps: wglan_discovery_service
// Requests ("METHOD TARGET\nBODY") against the service, and its configuration file.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "tools/wglan-discovery/service/options.h"

namespace {

using namespace wglan::discovery_service;

// Takes everything; a stream ends after its first write.
class Sink final : public wglan::HttpWriter {
public:
    wglan::Task<wglan::Result<>> start(wglan::HttpResponse) override { co_return wglan::Result<>{}; }
    wglan::Task<wglan::Result<>> write(std::string_view) override {
        open_ = false;
        co_return wglan::Result<>{};
    }
    bool open() const override { return open_; }
    void set_write_timeout(std::chrono::milliseconds) override {}
    void on_close(std::function<void()>) override {}

private:
    bool open_ = true;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = wglan::init_crypto().has_value();
    if (!ready || size < 1) return 0;
    const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
    if (data[0] % 2 == 0) {
        ProgramOptions options;
        if (read_options(text, "f", options)) (void)check_options(options);
        return 0;
    }
    boost::asio::io_context io;
    auto service = make_service(io, {}, wglan::system_clock(), [] { return false; }, "e");
    wglan::HttpRequest request;
    const auto space = text.find(' ');
    const auto line = text.find('\n');
    if (space == std::string::npos || line == std::string::npos || line < space) return 0;
    request.method = text.substr(0, space);
    request.target = text.substr(space + 1, line - space - 1);
    request.body = text.substr(line + 1);
    Sink sink;
    auto handler = service->handler();
    boost::asio::co_spawn(io, handler(request, sink), boost::asio::detached);
    io.poll();
    service->stop();
    return 0;
}
