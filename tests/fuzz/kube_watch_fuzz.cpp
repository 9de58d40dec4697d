// SPDX-License-Identifier: Apache-2.0
// deps: wglan_kubernetes_objects wglan_http
// A watch as it comes from the network, in pieces: HTTP framing, chunks, lines, events of Nodes and of the
// API servers' EndpointSlice. No byte of the body is lost or made up, and no line is longer than it may be.
#include <algorithm>
#include <cstdlib>

#include "agent/discovery/kubernetes/endpoint_slice.h"
#include "agent/discovery/kubernetes/node.h"
#include "agent/http/lines.h"
#include "agent/http/message.h"

namespace {

constexpr std::size_t kLine = 2048;

struct Watch {
    wglan::http::ResponseParser parser{4096, wglan::http::kNoBodyLimit};
    wglan::http::LineBuffer lines{kLine};
    std::string body, said;

    // False: the stream is over.
    bool take_lines() {
        body += parser.body;
        lines.add(parser.body);
        parser.body.clear();
        for (;;) {
            auto line = lines.take();
            if (!line) return false;
            if (!*line) return true;
            if ((*line)->size() > kLine) std::abort();
            (void)wglan::parse_node_event(**line, "wglan.dev");
            (void)wglan::parse_slice_event(**line);
            said += **line + "\n";
        }
    }

    void check() const {
        std::string expected;
        for (std::size_t at = 0, end = 0; (end = body.find('\n', at)) != std::string::npos; at = end + 1) {
            const bool cr = end > at && body[end - 1] == '\r';
            expected += body.substr(at, end - at - (cr ? 1U : 0U)) + "\n";
        }
        if (expected != said) std::abort();
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const std::size_t piece = 1U + data[0];
    Watch watch;
    watch.parser.eager(true);
    wglan::http::ReadBuffer buffer(16384);
    for (std::size_t at = 1; at < size; at += piece) {
        const std::size_t count = std::min(piece, size - at);
        if (buffer.size() + count > buffer.max_size()) return 0;
        auto space = buffer.prepare(count);
        std::copy_n(data + at, count, static_cast<std::uint8_t*>(space.data()));
        buffer.commit(count);
        if (!watch.parser.feed(buffer)) return 0;
        if (!watch.take_lines()) return 0;
        if (watch.parser.is_done()) break;
    }
    watch.check();
    return 0;
}
