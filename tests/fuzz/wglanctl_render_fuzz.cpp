// SPDX-License-Identifier: Apache-2.0
// deps: wglan_ctl_render
// Whatever JSON an agent may answer with: the text holds nothing that steers a terminal.
#include <cstdlib>

#include "tools/wglanctl/render/formats.h"
#include "tools/wglanctl/render/readiness.h"
#include "tools/wglanctl/render/text.h"
#include "tools/wglanctl/render/views.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan::ctl;
    std::string_view text(reinterpret_cast<const char*>(data), size);
    if (printable(printable(text)) != printable(text)) std::abort();

    Json json = parse_answer(text);
    if (json.is_discarded()) return 0;
    for (auto render : {render_status, render_peers, render_peer, render_routes, render_explanation,
                        render_record, render_keys, render_event, render_doctor})
        for (std::size_t width : {std::size_t{0}, std::size_t{40}})
            for (char c : render(json, {false, width}))
                if ((c >= 0 && c < 0x20 && c != '\n') || c == 0x7f) std::abort();
    (void)missing_for_ready(json, {});
    (void)to_yaml_text(json, true);
    for (char c : to_json_text(json, true))
        if ((c < 0x20 && c != '\n') || c == 0x7f) std::abort();
    return 0;
}
