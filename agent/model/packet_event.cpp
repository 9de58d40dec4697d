// SPDX-License-Identifier: Apache-2.0
#include "agent/model/packet_event.h"

namespace wglan {

std::string_view to_string(PacketEvent::Kind kind) {
    switch (kind) {
        case PacketEvent::Kind::drop:
            return "drop";
        case PacketEvent::Kind::too_big:
            return "too_big";
        case PacketEvent::Kind::mss_clamp:
            return "mss_clamp";
        case PacketEvent::Kind::guard:
            return "guard";
        case PacketEvent::Kind::flow:
            return "flow";
    }
    return "unknown";
}

}  // namespace wglan
