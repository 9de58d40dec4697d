// SPDX-License-Identifier: Apache-2.0
// Bytes of the generic netlink family "wireguard" (linux/wireguard.h). Pure: no socket in here.
// Messages are in host byte order where netlink wants it; sequence and port ids are the socket's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/wireguard.h"
#include "agent/wireguard/wiped_bytes.h"
#include "agent/wireguard/wireguard.h"

namespace wglan {

// Where a request goes.
struct NetlinkTarget {
    std::uint16_t family = 0;  // generic netlink id of "wireguard"
    std::string interface;     // 1 to 15 bytes
    // Most bytes of one message. Above kMinNetlinkMessage; under 64 KiB, since a nested attribute's
    // length has 16 bits.
    std::size_t max_message = 16384;
};
inline constexpr std::size_t kMinNetlinkMessage = 320;

// How a single allowed IP is taken from its peer.
struct RemovalMode {
    // WGALLOWEDIP_F_REMOVE_ME (Linux 6.16). Without it the prefix moves to a throw-away peer, which is
    // deleted at the end, so that no other prefix is touched.
    bool by_flag = false;
    PublicKey throw_away;  // nobody's key; used without by_flag
};

// One request and the changes that it carries (a part of): changes[first] .. changes[last - 1].
struct NetlinkMessage {
    WipedBytes bytes;
    std::size_t first = 0;
    std::size_t last = 0;
};

// WG_CMD_SET_DEVICE requests (NLM_F_REQUEST | NLM_F_ACK) for the changes, in order, filled up to
// max_message. A peer whose allowed IPs don't fit goes on in the next message under the same key with
// WGPEER_F_UPDATE_ONLY and never with WGPEER_F_REPLACE_ALLOWEDIPS. Peers that are updated carry
// WGPEER_F_UPDATE_ONLY, so that none is made by it.
Result<std::vector<NetlinkMessage>> encode_peer_changes(const NetlinkTarget& target,
                                                        std::span<const WgPeerChange> changes,
                                                        const WgSecrets& secrets, const RemovalMode& removal);

// One request for the device's own settings; with an empty change it only asks whether the device is there.
NetlinkMessage encode_device_change(const NetlinkTarget& target, const WgDeviceChange& change,
                                    const WgSecrets& secrets);

// Requests that tell whether the kernel honours WGALLOWEDIP_F_REMOVE_ME; they work on a scratch peer.
struct RemovalProbe {
    NetlinkMessage known;    // removes a prefix by flag: an error where the attribute isn't known
    NetlinkMessage unknown;  // a flag that no kernel has: success where the attribute is ignored
    NetlinkMessage cleanup;  // removes the scratch peer
};
RemovalProbe encode_removal_probe(const NetlinkTarget& target, const PublicKey& scratch);

// Request that removes one peer.
NetlinkMessage encode_peer_removal(const NetlinkTarget& target, const PublicKey& key);

// WG_CMD_GET_DEVICE dump request.
NetlinkMessage encode_dump_request(const NetlinkTarget& target);

// CTRL_CMD_GETFAMILY for the name, and the family id from the answer (not_found if it has none).
NetlinkMessage encode_family_request(std::string_view name);
Result<std::uint16_t> parse_family_reply(std::span<const std::uint8_t> datagram);

// What ended a request, if anything did yet.
enum class ReplyState { more, done };

// Looks for the acknowledgement of request `sequence` in a datagram; other sequences (late answers to
// requests that timed out) are skipped. A negative answer is an Error with its errno.
Result<ReplyState> parse_ack(std::span<const std::uint8_t> datagram, std::uint32_t sequence);

// Puts a dump together again. Preshared keys become fingerprints at once; the caller wipes the datagrams.
class NetlinkDump {
public:
    explicit NetlinkDump(std::uint32_t sequence) : sequence_(sequence) {}

    // Takes the next datagram (aligned for nlmsghdr). `protocol` if it makes no sense, errno kinds for
    // what the kernel reported.
    Result<ReplyState> feed(std::span<const std::uint8_t> datagram);
    // The device, allowed IPs sorted. `conflict` if the dump was interrupted (NLM_F_DUMP_INTR).
    Result<WgDevice> take();

private:
    Result<> device_message(std::span<const std::uint8_t> attributes);
    Result<> peer(std::span<const std::uint8_t> attributes);

    std::uint32_t sequence_;
    bool interrupted_ = false;
    bool done_ = false;
    WgDevice device_;
};

}  // namespace wglan
