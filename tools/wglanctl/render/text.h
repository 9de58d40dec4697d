// SPDX-License-Identifier: Apache-2.0
// Text for terminals. Names and reasons come from other nodes: nothing of theirs may steer the
// reader's terminal or mislead the eye.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wglan::ctl {

// One line that is safe to print: control characters, invisible and direction-changing ones become
// `\x1b` or `\u202e`; bytes that aren't UTF-8 become U+FFFD.
std::string printable(std::string_view text);
// Columns on a terminal (wide and combining characters counted as such). Expects printable text.
std::size_t display_width(std::string_view text);
// At most that many columns; what is cut ends in "…".
std::string truncate(std::string_view text, std::size_t width);
std::string pad(std::string_view text, std::size_t width, bool right_aligned = false);
// Breaks at spaces; no line is longer than width unless one word is. width 0 = one line.
std::vector<std::string> wrap(std::string_view text, std::size_t width);

// Puts the text over what the terminal shows, without flicker: from the top left corner, each line
// and the rest of the screen cleared. What is more than rows lines (0 = any) is left out, so that
// nothing scrolls.
std::string redraw(std::string_view text, std::size_t rows);

std::string human_bytes(std::uint64_t bytes);                    // "0 B", "1.2 MiB"
std::string human_count(std::uint64_t count);                    // "12,345"
std::string human_duration(std::int64_t seconds);                // "0s", "3m12s", "4h5m", "12d3h"
std::string human_rtt(double milliseconds);                      // "0.42 ms", "12 ms"
std::string plural(std::uint64_t count, std::string_view noun);  // "1 record", "3 records"

}  // namespace wglan::ctl
