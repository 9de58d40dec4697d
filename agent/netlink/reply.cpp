// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/reply.h"

#include <cstring>

namespace wglan::rtnl {
namespace {

constexpr int kDumpTries = 5;
constexpr std::size_t kMaxHint = 200;

// NLMSGERR_ATTR_MSG, behind the copy of the request (its header alone where NLM_F_CAPPED).
std::string extended_ack(Bytes message, const nlmsghdr& header, const nlmsgerr& error) {
    if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
    std::size_t offset = NLMSG_HDRLEN + sizeof(nlmsgerr);
    if ((header.nlmsg_flags & NLM_F_CAPPED) == 0) {
        if (error.msg.nlmsg_len < sizeof(nlmsghdr)) return {};
        offset += NLMSG_ALIGN(static_cast<std::size_t>(error.msg.nlmsg_len)) - sizeof(nlmsghdr);
    }
    if (offset >= message.size()) return {};
    static constexpr std::array<nla_policy, NLMSGERR_ATTR_MAX + 1> kPolicy{};
    const auto attributes = Attributes::parse(message.subspan(offset), kPolicy);
    return attributes ? attributes->text(NLMSGERR_ATTR_MSG).substr(0, kMaxHint) : std::string();
}

Result<> refusal(Bytes message, const nlmsghdr& header, const nlmsgerr& error) {
    const std::string hint = extended_ack(message, header, error);
    return fail_errno(hint.empty() ? "refused by the kernel" : hint, -error.error);
}

}  // namespace

Result<> ReplyReader::take(Bytes message, const OnMessage& on_message) {
    const auto header = message_header(message);
    if (!header) return tl::unexpected(header.error());
    if (complete_ || header->nlmsg_seq != sequence_) return {};
    if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted_ = true;
    switch (header->nlmsg_type) {
        case NLMSG_NOOP:
            return {};
        case NLMSG_OVERRUN:
            return fail(ErrorKind::exhausted, "the netlink socket's buffer ran over");
        case NLMSG_ERROR: {
            const auto error = family_header<nlmsgerr>(message);
            if (!error) return tl::unexpected(error.error());
            complete_ = true;
            if (error->error < 0 && error->error > -4096) return refusal(message, *header, *error);
            if (error->error != 0) return fail(ErrorKind::protocol, "an acknowledgement makes no sense");
            return {};
        }
        case NLMSG_DONE: {
            complete_ = true;
            // A dump that failed half-way says so here (netlink_dump_done()).
            const auto code = family_header<std::int32_t>(message);
            if (code && *code < 0 && *code > -4096) return fail_errno("the dump failed", -*code);
            return {};
        }
        default:
            return on_message(message);
    }
}

Result<bool> ReplyReader::feed(Bytes datagram, const OnMessage& on_message) {
    auto result = for_each_message(datagram, [&](Bytes message) { return take(message, on_message); });
    if (!result) return tl::unexpected(result.error());
    return complete_;
}

Result<> until_consistent(const std::function<Result<bool>()>& dump) {
    for (int i = 0; i < kDumpTries; ++i) {
        const auto consistent = dump();
        if (!consistent) return tl::unexpected(consistent.error());
        if (*consistent) return {};
    }
    return fail(ErrorKind::conflict, "changed while being read, " + std::to_string(kDumpTries) + " times");
}

}  // namespace wglan::rtnl
