// SPDX-License-Identifier: Apache-2.0
// A benchmark has nothing to do after a failure but to say so: main() catches.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

#include "agent/base/result.h"

namespace wglan::bench {

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// For calls that give -1 and errno.
inline int must_call(int result, const std::string& what) {
    if (result < 0) throw std::system_error(errno, std::system_category(), what);
    return result;
}

}  // namespace wglan::bench
