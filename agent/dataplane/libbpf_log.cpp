// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/libbpf_log.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <string_view>

#include <bpf/libbpf.h>

#include "agent/base/log.h"

namespace wglan {

namespace {

int log_libbpf(enum libbpf_print_level level, const char* format, std::va_list arguments) {
    if (level == LIBBPF_DEBUG) return 0;
    char line[1024];
    const int length = std::vsnprintf(line, sizeof line, format, arguments);
    if (length <= 0) return 0;
    std::string_view text(line, std::min(static_cast<std::size_t>(length), sizeof line - 1));
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    spdlog::debug("{}", text);
    return 0;
}

}  // namespace

void log_libbpf_through_ours() { libbpf_set_print(log_libbpf); }

}  // namespace wglan
