// SPDX-License-Identifier: Apache-2.0
// rtnetlink messages: building them (libnl's nl_msg), walking received bytes, and reading
// attributes with checked lengths. No sockets here.
#pragma once

#include <linux/netlink.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "agent/base/ip.h"
#include "agent/base/result.h"

namespace wglan::rtnl {

// Whole netlink messages or their parts; 4-byte aligned, host byte order (netlink(7)).
using Bytes = std::span<const std::uint8_t>;

// A request under construction. What does not fit is remembered and reported by finish().
class Request {
public:
    Request(std::uint16_t type, unsigned flags);  // NLM_F_REQUEST is added

    // The family header (ifinfomsg, ifaddrmsg, rtmsg): first, once.
    template <class T>
    void header(const T& value) {
        append(&value, sizeof(value));
    }
    void u8(int type, std::uint8_t value);
    void u32(int type, std::uint32_t value);
    void text(int type, const std::string& value);
    void address(int type, const IpAddress& value);
    void nested(int type, const std::function<void()>& content);

    // The finished message; owned by this object. `exhausted` if something did not fit.
    Result<nlmsghdr*> finish();

private:
    struct Free {
        void operator()(nl_msg* message) const noexcept { nlmsg_free(message); }
    };
    void append(const void* data, std::size_t size);
    void check(int result) { ok_ = ok_ && result >= 0; }

    std::unique_ptr<nl_msg, Free> message_;
    bool ok_ = true;
};

// Calls `each` with every complete message of a datagram, in order, until it fails.
// `protocol` if a length is wrong; what stood before was handed out then.
Result<> for_each_message(Bytes datagram, const std::function<Result<>(Bytes)>& each);

// Copy of the netlink header; `message` comes from for_each_message or is checked here.
Result<nlmsghdr> message_header(Bytes message);

// Copy of the family header behind it; `protocol` if the message is too short.
template <class T>
Result<T> family_header(Bytes message) {
    if (message.size() < NLMSG_HDRLEN + sizeof(T)) {
        return fail(ErrorKind::protocol, "a netlink message is too short for its type");
    }
    T value;
    __builtin_memcpy(&value, message.data() + NLMSG_HDRLEN, sizeof(value));
    return value;
}

// Attributes by type; points into the message, which must outlive it. Unknown types are skipped.
class Attributes {
public:
    // Room for IFLA_*, IFA_* and RTA_* of every kernel so far.
    static constexpr int kMaxType = 127;

    // `protocol` if an attribute is shorter than the policy asks for.
    static Result<Attributes> parse(Bytes attributes, std::span<const nla_policy> policy);
    static Result<Attributes> of_message(Bytes message, std::size_t family_header_size,
                                         std::span<const nla_policy> policy);
    // Those inside `outer`; empty where it is absent.
    static Result<Attributes> nested(const nlattr* outer, std::span<const nla_policy> policy);

    const nlattr* operator[](int type) const { return table_[static_cast<std::size_t>(type)]; }
    // nullopt where absent or shorter than the value.
    std::optional<std::uint32_t> u32(int type) const;
    std::optional<std::uint8_t> u8(int type) const;
    std::string text(int type) const;  // up to the first NUL; "" where absent
    Bytes bytes(int type) const;       // empty where absent
    // nullopt where absent; `protocol` where it hasn't the family's length.
    Result<std::optional<IpAddress>> address(int type) const;

private:
    std::array<nlattr*, kMaxType + 1> table_{};
};

Bytes payload(const nlattr* attribute);

}  // namespace wglan::rtnl
