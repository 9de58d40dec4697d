// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace wglan::ctl {

bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

Style terminal_style() {
    Style style;
    if (!stdout_is_terminal()) return style;
    const char* no_colour = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    bool dumb = term == nullptr || std::string_view(term) == "dumb";
    style.colour = !dumb && (no_colour == nullptr || *no_colour == '\0');
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) style.width = size.ws_col;
    return style;
}

std::size_t terminal_rows() {
    winsize size{};
    return stdout_is_terminal() && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

bool put(std::string_view text) {
    while (!text.empty()) {
        ssize_t done = ::write(STDOUT_FILENO, text.data(), text.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(done));
    }
    return true;
}

}  // namespace wglan::ctl
