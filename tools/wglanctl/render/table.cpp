// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/table.h"

#include <algorithm>

#include "tools/wglanctl/render/text.h"

namespace wglan::ctl {
namespace {

constexpr std::size_t kGap = 2;

std::string without_trailing_blanks(std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
}

}  // namespace

std::string paint(std::string_view text, Colour colour, const Style& style) {
    if (!style.colour || colour == Colour::none || text.empty()) return std::string(text);
    const char* code = "";
    switch (colour) {
        case Colour::good:
            code = "32";
            break;
        case Colour::warn:
            code = "33";
            break;
        case Colour::bad:
            code = "31";
            break;
        case Colour::dim:
            code = "2";
            break;
        case Colour::bold:
            code = "1";
            break;
        case Colour::none:
            break;
    }
    return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

Cell::Cell(std::string_view content, Colour paint_with, int) : text(printable(content)), colour(paint_with) {}

std::vector<std::size_t> Table::widths(const Style& style) const {
    std::vector<std::size_t> wide;
    std::vector<std::size_t> least;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t widest = display_width(columns_[i].title);
        bool blank = columns_[i].optional;
        for (const auto& row : rows_) {
            widest = std::max(widest, display_width(row[i].text));
            blank = blank && row[i].text == "-";
        }
        wide.push_back(blank ? 0 : widest);
        least.push_back(columns_[i].least == 0 ? wide[i] : std::min(wide[i], columns_[i].least));
    }
    if (style.width == 0) return wide;

    // First columns go until the rest can be cut to fit; then the widest ones are cut.
    while (total(least) > style.width) {
        std::size_t best = columns_.size();
        for (std::size_t i = 0; i < columns_.size(); ++i)
            if (wide[i] != 0 && columns_[i].importance < 10 &&
                (best == columns_.size() || columns_[i].importance < columns_[best].importance))
                best = i;
        if (best == columns_.size()) return least;
        wide[best] = least[best] = 0;
    }
    while (total(wide) > style.width) {
        std::size_t best = columns_.size();
        for (std::size_t i = 0; i < columns_.size(); ++i)
            if (wide[i] > least[i] && (best == columns_.size() || wide[i] > wide[best])) best = i;
        --wide[best];
    }
    return wide;
}

std::size_t Table::total(const std::vector<std::size_t>& widths) const {
    std::size_t sum = 0;
    for (auto width : widths)
        if (width != 0) sum += width + (sum == 0 ? 0 : kGap);
    return sum + indent_.size();
}

std::string Table::line(const std::vector<Cell>& row, const std::vector<std::size_t>& widths,
                        const Style& style) const {
    std::string out = indent_;
    std::string gap;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (widths[i] == 0) continue;
        std::string text = truncate(row[i].text, widths[i]);
        std::string blanks(widths[i] - display_width(text), ' ');
        out += gap;
        if (columns_[i].right_aligned) out += blanks;
        out += paint(text, row[i].colour, style);
        gap = std::string(kGap, ' ');
        if (!columns_[i].right_aligned) gap += blanks;
    }
    return without_trailing_blanks(std::move(out)) + "\n";
}

std::string Table::render(const Style& style) const {
    auto wide = widths(style);
    std::vector<Cell> header;
    for (const auto& column : columns_) header.emplace_back(column.title, Colour::bold);
    std::string out = line(header, wide, style);
    for (const auto& row : rows_) out += line(row, wide, style);
    return out;
}

void Fields::add(std::string label, std::string_view text, Colour colour) {
    fields_.push_back({std::move(label), printable(text), colour});
}

std::string Fields::render(const Style& style) const {
    std::size_t label_width = 0;
    for (const auto& field : fields_) label_width = std::max(label_width, display_width(field.label));
    std::size_t start = label_width + kGap;
    std::size_t room = style.width > start + 20 ? style.width - start : 0;
    std::string out;
    for (const auto& field : fields_) {
        std::string label = field.label;
        for (const auto& line : wrap(field.text, room)) {
            std::string front =
                paint(label, Colour::bold, style) + std::string(start - display_width(label), ' ');
            out += without_trailing_blanks(front + paint(line, field.colour, style)) + "\n";
            label.clear();
        }
    }
    return out;
}

}  // namespace wglan::ctl
