// SPDX-License-Identifier: Apache-2.0
// Text of WireGuard's cross-platform configuration protocol (wireguard.com/xplatform). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/wireguard.h"
#include "agent/wireguard/wiped_bytes.h"
#include "agent/wireguard/wireguard.h"

namespace wglan {

// One `set=1` transaction and the changes that it carries: changes[first] .. changes[last - 1].
struct UapiMessage {
    WipedBytes text;
    std::size_t first = 0;
    std::size_t last = 0;
};

inline constexpr std::size_t kUapiMessage = 16384;
inline constexpr std::string_view kUapiGet = "get=1\n\n";

// Transactions for the changes, in order; one is closed once it is longer than `target_size`, and no
// change is split. Single allowed IPs are removed by moving them to a throw-away peer (`throw_away` is
// nobody's key) that goes again in the same transaction; wireguard-go 20220316 has no other way.
Result<std::vector<UapiMessage>> encode_uapi_changes(std::span<const WgPeerChange> changes,
                                                     const WgSecrets& secrets, const PublicKey& throw_away,
                                                     std::size_t target_size = kUapiMessage);
UapiMessage encode_uapi_device(const WgDeviceChange& change, const WgSecrets& secrets);

// Reads an answer as it arrives, to `errno=N` and the blank line that ends it. Lines and numbers of
// peers and prefixes are bounded; secrets turn into a public key and fingerprints at once and are wiped.
class UapiReply {
public:
    UapiReply() = default;
    ~UapiReply();
    UapiReply(const UapiReply&) = delete;
    UapiReply& operator=(const UapiReply&) = delete;

    // `protocol` if it makes no sense. True once the answer is whole; then more bytes are an error.
    Result<bool> feed(std::string_view bytes);
    // 0, or the errno that the other side reported (positive).
    int code() const { return code_; }
    // The device that a `get` told of, allowed IPs sorted. Only once, after feed() said true.
    Result<WgDevice> take();

private:
    static constexpr std::size_t kLongestLine = 256;

    Result<> line(std::string_view text);
    Result<> device_line(std::string_view key, std::string_view value);
    Result<> peer_line(std::string_view key, std::string_view value);

    std::array<char, kLongestLine> pending_{};
    std::size_t pending_size_ = 0;
    std::size_t prefixes_ = 0;
    std::optional<int> errno_;
    bool whole_ = false;
    int code_ = 0;
    WgDevice device_;
};

}  // namespace wglan
