// SPDX-License-Identifier: Apache-2.0
#include "agent/http/lines.h"

#include <algorithm>

namespace wglan::http {

Result<std::optional<std::string>> LineBuffer::take() {
    const auto too_long = [&] {
        return fail(ErrorKind::exhausted,
                    "a line of the stream is longer than " + std::to_string(most_) + " bytes");
    };
    const auto end = pending_.find('\n', std::max(start_, searched_));
    if (end == std::string::npos) {
        pending_.erase(0, start_);
        start_ = 0;
        searched_ = pending_.size();
        // One byte more may be the \r before the end.
        if (pending_.size() > most_ + 1) return too_long();
        return std::nullopt;
    }
    std::string line = pending_.substr(start_, end - start_);
    if (line.ends_with('\r')) line.pop_back();
    start_ = end + 1;
    if (line.size() > most_) return too_long();
    return line;
}

}  // namespace wglan::http
