// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/wglanctl/render/text.h"
#include "tools/wglanctl/render/views.h"

namespace wglan::ctl {
namespace {

constexpr std::size_t kStatus = 4;

Colour colour_of_finding(std::string_view status) {
    if (status == "pass") return Colour::good;
    if (status == "fail") return Colour::bad;
    return status == "warn" ? Colour::warn : Colour::dim;
}

std::string summary_line(const Json& summary) {
    const auto part = [&](const char* status, const char* text) {
        return fmt::format("{} {}", count_at(summary, {status}), text);
    };
    std::string line = part("pass", "passed");
    line += ", " + plural(count_at(summary, {"warn"}), "warning");
    line += ", " + part("fail", "failed");
    if (count_at(summary, {"skip"}) != 0) line += ", " + part("skip", "not looked at");
    return line;
}

// Wrapped under itself, `front` before its first line.
std::string paragraph(const std::string& front, std::size_t start, std::string_view text, Colour colour,
                      const Style& style) {
    const std::size_t room = style.width > start + 20 ? style.width - start : 0;
    std::string out, before = front;
    for (const auto& line : wrap(printable(text), room)) {
        out += before + paint(line, colour, style) + "\n";
        before = std::string(start, ' ');
    }
    return out;
}

}  // namespace

std::string render_doctor(const Json& answer, const Style& style) {
    const Json& checks = list_at(answer, {"checks"});
    std::size_t name_width = 0;
    for (const auto& check : checks)
        name_width = std::max(name_width, display_width(printable(text_at(check, {"check"}))));
    const std::size_t start = kStatus + 2 + name_width + 2;
    std::string out;
    for (const auto& check : checks) {
        const std::string status = printable(text_at(check, {"status"}));
        const Colour colour = colour_of_finding(status);
        const bool plain = colour == Colour::good;
        const std::string front = paint(pad(status, kStatus), colour, style) + "  " +
                                  pad(printable(text_at(check, {"check"})), name_width) + "  ";
        out += paragraph(front, start, text_at(check, {"text"}), plain ? Colour::none : colour, style);
        if (const auto mend = text_at(check, {"mend"}); !mend.empty())
            out += paragraph(std::string(start, ' '), start, "mend: " + mend, Colour::none, style);
    }
    const Json& summary = at(answer, {"summary"});
    const Colour colour = count_at(summary, {"fail"}) != 0   ? Colour::bad
                          : count_at(summary, {"warn"}) != 0 ? Colour::warn
                                                             : Colour::good;
    return out + paint(summary_line(summary), colour, style) + "\n";
}

}  // namespace wglan::ctl
