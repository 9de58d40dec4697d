// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/hook_order.h"

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "agent/base/unique_fd.h"
#include "agent/dataplane/attach.h"

namespace wglan {
namespace {

struct Filter {
    std::uint32_t priority = 0;
    std::string name;
};

struct FilterRequest {
    nlmsghdr header{};
    tcmsg which{};
};

// The attribute of that type among those in [at, at + length); nullptr = there is none.
const rtattr* find_attribute(const rtattr* at, int length, unsigned short type) {
    for (; RTA_OK(at, length); at = RTA_NEXT(at, length))
        if ((at->rta_type & NLA_TYPE_MASK) == type) return at;
    return nullptr;
}

std::string text_of(const rtattr* attribute) {
    const auto* text = static_cast<const char*>(RTA_DATA(attribute));
    return {text, ::strnlen(text, RTA_PAYLOAD(attribute))};
}

// nullopt: the entry of a priority, without a filter.
std::optional<Filter> read_filter(const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWTFILTER || message->nlmsg_len < NLMSG_LENGTH(sizeof(tcmsg)))
        return std::nullopt;
    const auto* entry = static_cast<const tcmsg*>(NLMSG_DATA(message));
    if (entry->tcm_handle == 0) return std::nullopt;
    Filter filter{TC_H_MAJ(entry->tcm_info) >> 16, ""};
    const auto* first =
        reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(entry) + NLMSG_ALIGN(sizeof(tcmsg)));
    const int length = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof(tcmsg)));
    if (const rtattr* kind = find_attribute(first, length, TCA_KIND)) filter.name = text_of(kind);
    const rtattr* options = find_attribute(first, length, TCA_OPTIONS);
    if (filter.name != "bpf" || options == nullptr) return filter;
    const auto* inner = static_cast<const rtattr*>(RTA_DATA(options));
    const rtattr* id = find_attribute(inner, static_cast<int>(RTA_PAYLOAD(options)), TCA_BPF_ID);
    if (id == nullptr || RTA_PAYLOAD(id) < sizeof(std::uint32_t)) return filter;
    std::uint32_t program = 0;
    std::memcpy(&program, RTA_DATA(id), sizeof program);
    filter.name = program_name(program);
    return filter;
}

Result<UniqueFd> ask_for_filters(int ifindex, Attachment::Hook hook) {
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd.valid()) return fail_errno("open a netlink socket");
    const timeval limit{2, 0};
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    FilterRequest request;
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = RTM_GETTFILTER;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.which.tcm_ifindex = ifindex;
    request.which.tcm_parent =
        TC_H_MAKE(TC_H_CLSACT, hook == Attachment::Hook::tc_egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
    if (::send(fd.get(), &request, sizeof request, 0) < 0) return fail_errno("ask for filters");
    return fd;
}

// By priority, those of one in the kernel's order. None where there is no clsact qdisc.
Result<std::vector<Filter>> filters(int ifindex, Attachment::Hook hook) {
    auto fd = ask_for_filters(ifindex, hook);
    if (!fd) return Failure(fd.error());
    std::vector<Filter> found;
    alignas(nlmsghdr) std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t got = ::recv(fd->get(), buffer.data(), buffer.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return fail_errno("list filters");
        auto left = static_cast<unsigned>(got);
        for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
             message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
                std::stable_sort(found.begin(), found.end(),
                                 [](const Filter& a, const Filter& b) { return a.priority < b.priority; });
                return found;
            }
            if (auto filter = read_filter(message)) found.push_back(std::move(*filter));
        }
    }
}

}  // namespace

Result<std::vector<std::string>> programs_in_order(int ifindex, Attachment::Hook hook) {
    std::vector<std::string> names;
    if (Attacher("", false).uses_tcx()) {
        const auto ids = tcx_program_ids(ifindex, hook);
        if (!ids) return Failure(ids.error());
        for (const std::uint32_t id : *ids) names.push_back(program_name(id));
    }
    const auto behind = filters(ifindex, hook);
    if (!behind) return Failure(behind.error());
    for (const Filter& filter : *behind) names.push_back(filter.name);
    return names;
}

Result<bool> has_filters(int ifindex, Attachment::Hook hook) {
    const auto found = filters(ifindex, hook);
    if (!found) return Failure(found.error());
    return !found->empty();
}

}  // namespace wglan
