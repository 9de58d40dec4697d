// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "tools/wglanctl/render/table.h"

namespace wglan::ctl {

bool stdout_is_terminal();
// Colours and width of standard output; NO_COLOR (no-color.org) and TERM=dumb turn colours off.
Style terminal_style();
// Lines that fit on the screen; 0 = no terminal.
std::size_t terminal_rows();
// All of it to standard output; false when it is gone (a closed pipe) or full.
bool put(std::string_view text);

}  // namespace wglan::ctl
