// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: a stream of bytes as lines. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace wglan::http {

class LineBuffer {
public:
    explicit LineBuffer(std::size_t most) : most_(most) {}

    void add(std::string_view bytes) { pending_ += bytes; }
    // The next whole line without its end (\n or \r\n); nullopt: there is none yet. exhausted: it is, or will
    // be, longer than `most`.
    Result<std::optional<std::string>> take();
    bool empty() const { return pending_.size() == start_; }  // no part of a line waits for its end

private:
    std::size_t most_;
    std::string pending_;  // bytes not yet handed out, from start_ on
    std::size_t start_ = 0;
    std::size_t searched_ = 0;  // no line end before it
};

}  // namespace wglan::http
