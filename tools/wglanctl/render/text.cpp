// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/text.h"

#include <algorithm>
#include <clocale>
#include <cwchar>

#include <fmt/format.h>

namespace wglan::ctl {
namespace {

constexpr char32_t kReplacement = 0xfffd;

// Takes one code point off the front; anything that RFC 3629 doesn't allow is one replacement a byte.
char32_t next_code_point(std::string_view& text) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    unsigned char first = byte(0);
    std::size_t length = first < 0x80                    ? 1
                         : first >= 0xc2 && first < 0xe0 ? 2
                         : (first >> 4) == 0xe           ? 3
                         : first >= 0xf0 && first < 0xf5 ? 4
                                                         : 0;
    if (length == 0 || length > text.size()) {
        text.remove_prefix(1);
        return kReplacement;
    }
    char32_t point = length == 1 ? first : first & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) {
            text.remove_prefix(1);
            return kReplacement;
        }
        point = point << 6 | (byte(i) & 0x3fU);
    }
    bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
    if (overlong || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
        text.remove_prefix(1);
        return kReplacement;
    }
    text.remove_prefix(length);
    return point;
}

void append(std::string& out, char32_t point) {
    auto put = [&](char32_t bits) { out += static_cast<char>(static_cast<unsigned char>(bits)); };
    if (point < 0x80) {
        put(point);
    } else if (point < 0x800) {
        put(0xc0 | point >> 6);
        put(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        put(0xe0 | point >> 12);
        put(0x80 | (point >> 6 & 0x3f));
        put(0x80 | (point & 0x3f));
    } else {
        put(0xf0 | point >> 18);
        put(0x80 | (point >> 12 & 0x3f));
        put(0x80 | (point >> 6 & 0x3f));
        put(0x80 | (point & 0x3f));
    }
}

// Unicode's Cf that hide or reorder text, line separators, private use and non-characters.
bool is_deceptive(char32_t point) {
    return point == 0xad || point == 0x61c || point == 0x180e || (point >= 0x200b && point <= 0x200f) ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x206f) || point == 0xfeff ||
           (point >= 0xfff0 && point < 0xfffd) || (point & 0xfffe) == 0xfffe ||
           (point >= 0xe000 && point < 0xf900) || point >= 0xe0000;
}

bool is_control(char32_t point) { return point < 0x20 || (point >= 0x7f && point < 0xa0); }

// glibc's table of widths, whatever the user's locale is.
std::size_t width_of(char32_t point) {
    static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    if (point < 0x7f || utf8 == nullptr) return 1;
    locale_t before = uselocale(utf8);
    int width = wcwidth(static_cast<wchar_t>(point));
    uselocale(before);
    return width < 0 ? 1 : static_cast<std::size_t>(width);
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        char32_t point = next_code_point(text);
        if (is_control(point))
            out += fmt::format("\\x{:02x}", static_cast<unsigned>(point));
        else if (is_deceptive(point))
            out += point > 0xffff ? fmt::format("\\U{:08x}", static_cast<unsigned>(point))
                                  : fmt::format("\\u{:04x}", static_cast<unsigned>(point));
        else
            append(out, point);
    }
    return out;
}

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) width += width_of(next_code_point(text));
    return width;
}

std::string truncate(std::string_view text, std::size_t width) {
    if (display_width(text) <= width) return std::string(text);
    if (width == 0) return {};
    std::string out;
    std::size_t used = 0;
    while (!text.empty()) {
        char32_t point = next_code_point(text);
        std::size_t columns = width_of(point);
        if (used + columns > width - 1) break;
        used += columns;
        append(out, point);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "…";
}

std::string pad(std::string_view text, std::size_t width, bool right_aligned) {
    std::size_t used = display_width(text);
    std::string space(used < width ? width - used : 0, ' ');
    return right_aligned ? space + std::string(text) : std::string(text) + space;
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
    if (width == 0) return {std::string(text)};
    std::vector<std::string> lines(1);
    while (!text.empty()) {
        std::size_t end = text.find(' ');
        std::string_view word = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        std::string& line = lines.back();
        if (!line.empty() && display_width(line) + 1 + display_width(word) > width)
            lines.emplace_back(word);
        else
            line += (line.empty() ? "" : " ") + std::string(word);
    }
    return lines;
}

std::string redraw(std::string_view text, std::size_t rows) {
    std::string out = "\x1b[H";
    for (std::size_t row = 1; !text.empty(); ++row) {
        std::size_t end = std::min(text.find('\n'), text.size());
        // The last line keeps no line end: it would scroll.
        if (rows != 0 && row == rows)
            return out + (end + 1 < text.size() ? "…" : std::string(text.substr(0, end))) + "\x1b[K";
        out.append(text.substr(0, end)).append("\x1b[K\n");
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out + "\x1b[J";
}

std::string human_bytes(std::uint64_t bytes) {
    static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) return fmt::format("{} B", bytes);
    double value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    // 1023.95 would print as "1024.0".
    while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
        value /= 1024;
        ++unit;
    }
    return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_count(std::uint64_t count) {
    std::string digits = std::to_string(count);
    for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
    return digits;
}

std::string human_duration(std::int64_t seconds) {
    if (seconds < 0) seconds = 0;
    auto two = [](std::int64_t big, const char* first, std::int64_t small, const char* second) {
        return small == 0 ? fmt::format("{}{}", big, first)
                          : fmt::format("{}{}{}{}", big, first, small, second);
    };
    if (seconds < 60) return fmt::format("{}s", seconds);
    if (seconds < 3600) return two(seconds / 60, "m", seconds % 60, "s");
    if (seconds < 86400) return two(seconds / 3600, "h", seconds % 3600 / 60, "m");
    return two(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

std::string human_rtt(double milliseconds) {
    return milliseconds < 10 ? fmt::format("{:.2f} ms", milliseconds)
                             : fmt::format("{:.0f} ms", milliseconds);
}

std::string plural(std::uint64_t count, std::string_view noun) {
    return fmt::format("{} {}{}", human_count(count), noun, count == 1 ? "" : "s");
}

}  // namespace wglan::ctl
