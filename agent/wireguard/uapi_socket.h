// SPDX-License-Identifier: Apache-2.0
// A connection to a WireGuard process's UAPI socket.
#pragma once

#include <sys/types.h>

#include <string>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/wireguard/uapi_codec.h"

namespace wglan {

// Where wireguard-go listens and wg(8) looks.
std::string uapi_socket_path(const std::string& interface);

class UapiSocket {
public:
    // not_found if there is no socket or nobody listens on it any more.
    static Result<UapiSocket> connect(const std::string& path);

    Result<WgDevice> get();
    // One transaction. A refusal is an Error with the errno that the other side gave.
    Result<> set(const UapiMessage& message);
    // The process that called listen(2); 0 if it lives in a PID namespace out of sight. That process may
    // have handed the socket on and ended.
    pid_t listener() const;

private:
    explicit UapiSocket(UniqueFd fd) : fd_(std::move(fd)) {}

    Result<> write(std::string_view text);
    Result<> read(UapiReply& reply);
    Result<> exchange(std::string_view text, UapiReply& reply);

    UniqueFd fd_;
};

}  // namespace wglan
