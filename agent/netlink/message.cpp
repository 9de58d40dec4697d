// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/message.h"

#include <cstring>

namespace wglan::rtnl {

Request::Request(std::uint16_t type, unsigned flags)
    : message_(nlmsg_alloc_simple(type, static_cast<int>(flags | NLM_F_REQUEST))), ok_(message_ != nullptr) {}

void Request::append(const void* data, std::size_t size) {
    // nlmsg_append only reads through its non-const pointer.
    if (ok_) check(nlmsg_append(message_.get(), const_cast<void*>(data), size, NLMSG_ALIGNTO));
}

void Request::u8(int type, std::uint8_t value) {
    if (ok_) check(nla_put_u8(message_.get(), type, value));
}

void Request::u32(int type, std::uint32_t value) {
    if (ok_) check(nla_put_u32(message_.get(), type, value));
}

void Request::text(int type, const std::string& value) {
    if (ok_) check(nla_put_string(message_.get(), type, value.c_str()));
}

void Request::address(int type, const IpAddress& value) {
    const auto bytes = value.bytes();
    if (ok_) check(nla_put(message_.get(), type, static_cast<int>(bytes.size()), bytes.data()));
}

void Request::nested(int type, const std::function<void()>& content) {
    if (!ok_) return;
    nlattr* const start = nla_nest_start(message_.get(), type);
    ok_ = start != nullptr;
    content();
    if (ok_) nla_nest_end(message_.get(), start);
}

Result<nlmsghdr*> Request::finish() {
    if (!ok_) return fail(ErrorKind::exhausted, "a netlink request does not fit its buffer");
    return nlmsg_hdr(message_.get());
}

Result<nlmsghdr> message_header(Bytes message) {
    nlmsghdr header{};
    if (message.size() < sizeof(header)) return fail(ErrorKind::protocol, "a netlink message is cut off");
    std::memcpy(&header, message.data(), sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > message.size()) {
        return fail(ErrorKind::protocol, "a netlink message has a wrong length");
    }
    return header;
}

Result<> for_each_message(Bytes datagram, const std::function<Result<>(Bytes)>& each) {
    while (!datagram.empty()) {
        const auto header = message_header(datagram);
        if (!header) return tl::unexpected(header.error());
        const std::size_t length = header->nlmsg_len;
        if (auto done = each(datagram.first(length)); !done) return done;
        datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(length), datagram.size()));
    }
    return {};
}

Result<Attributes> Attributes::parse(Bytes attributes, std::span<const nla_policy> policy) {
    Attributes result;
    if (attributes.empty()) return result;
    // Types beyond the policy are foreign to us; nla_parse reads policy[0 .. max type].
    const int max_type = std::min(kMaxType, static_cast<int>(policy.size()) - 1);
    // nla_parse hands pointers into the buffer on and does not write to it.
    auto* const first = reinterpret_cast<nlattr*>(const_cast<std::uint8_t*>(attributes.data()));
    if (nla_parse(result.table_.data(), max_type, first, static_cast<int>(attributes.size()), policy.data()) <
        0) {
        return fail(ErrorKind::protocol, "a netlink attribute has a wrong length");
    }
    return result;
}

Result<Attributes> Attributes::of_message(Bytes message, std::size_t family_header_size,
                                          std::span<const nla_policy> policy) {
    const std::size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(family_header_size);
    if (message.size() <= offset) return Attributes{};
    return parse(message.subspan(offset), policy);
}

Result<Attributes> Attributes::nested(const nlattr* outer, std::span<const nla_policy> policy) {
    return parse(payload(outer), policy);
}

std::optional<std::uint32_t> Attributes::u32(int type) const {
    const Bytes data = bytes(type);
    if (data.size() < sizeof(std::uint32_t)) return std::nullopt;
    std::uint32_t value = 0;
    std::memcpy(&value, data.data(), sizeof(value));
    return value;
}

std::optional<std::uint8_t> Attributes::u8(int type) const {
    const Bytes data = bytes(type);
    if (data.empty()) return std::nullopt;
    return data.front();
}

std::string Attributes::text(int type) const {
    const Bytes data = bytes(type);
    const auto* const chars = reinterpret_cast<const char*>(data.data());
    return data.empty() ? std::string() : std::string(chars, strnlen(chars, data.size()));
}

Bytes Attributes::bytes(int type) const { return payload((*this)[type]); }

Result<std::optional<IpAddress>> Attributes::address(int type) const {
    if ((*this)[type] == nullptr) return std::optional<IpAddress>();
    auto address = IpAddress::from_bytes(bytes(type));
    if (!address) return fail(ErrorKind::protocol, "a netlink address has a wrong length");
    return std::optional<IpAddress>(*address);
}

Bytes payload(const nlattr* attribute) {
    if (attribute == nullptr) return {};
    return {static_cast<const std::uint8_t*>(nla_data(attribute)),
            static_cast<std::size_t>(std::max(0, nla_len(attribute)))};
}

}  // namespace wglan::rtnl
