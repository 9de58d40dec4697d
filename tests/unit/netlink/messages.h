// SPDX-License-Identifier: Apache-2.0
// Builds rtnetlink messages byte by byte, well-formed or not, without the code under test.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace wglan::rtnl::test {

class Message {
public:
    explicit Message(std::uint16_t type, std::uint16_t flags = 0, std::uint32_t sequence = 0) {
        nlmsghdr head{};
        head.nlmsg_type = type;
        head.nlmsg_flags = flags;
        head.nlmsg_seq = sequence;
        append(&head, sizeof(head));
        whole_ = true;
    }
    // Attributes alone, for nest().
    static Message inner() { return Message(); }

    template <class T>
    Message& header(const T& value) {
        append(&value, sizeof(value));
        return *this;
    }
    Message& raw(int type, const std::vector<std::uint8_t>& data) {
        nlattr attribute{};
        attribute.nla_type = static_cast<std::uint16_t>(type);
        attribute.nla_len = static_cast<std::uint16_t>(sizeof(attribute) + data.size());
        append(&attribute, sizeof(attribute));
        append(data.data(), data.size());
        return *this;
    }
    Message& u32(int type, std::uint32_t value) { return words(type, {value}); }
    Message& words(int type, const std::vector<std::uint32_t>& values) {
        std::vector<std::uint8_t> data(values.size() * sizeof(std::uint32_t));
        std::memcpy(data.data(), values.data(), data.size());
        return raw(type, data);
    }
    Message& text(int type, const std::string& value) {
        std::vector<std::uint8_t> data(value.begin(), value.end());
        data.push_back(0);
        return raw(type, data);
    }
    Message& nest(int type, const Message& content) { return raw(type, content.bytes_); }

    std::vector<std::uint8_t> bytes() const {
        auto copy = bytes_;
        const auto length = static_cast<std::uint32_t>(copy.size());
        if (whole_) std::memcpy(copy.data(), &length, sizeof(length));
        return copy;
    }

private:
    Message() = default;
    void append(const void* data, std::size_t size) {
        const auto* const first = static_cast<const std::uint8_t*>(data);
        bytes_.insert(bytes_.end(), first, first + size);
        bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    }

    std::vector<std::uint8_t> bytes_;
    bool whole_ = false;
};

}  // namespace wglan::rtnl::test
