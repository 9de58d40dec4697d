// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace wglan::ctl {

enum class Colour { none, good, warn, bad, dim, bold };

// How the output looks: colours only on a terminal, width 0 = as wide as it gets (a pipe, a file).
struct Style {
    bool colour = false;
    std::size_t width = 0;
};

std::string paint(std::string_view text, Colour colour, const Style& style);

struct Column {
    std::string title;
    bool right_aligned = false;
    std::size_t least = 0;     // may be cut down to so many columns; 0 = never cut
    unsigned importance = 10;  // where all doesn't fit, the least important columns go first; 10 = stays
    bool optional = false;     // left out where every cell is "-"
};

// content may hold foreign text; it is made printable.
struct Cell {
    template <std::convertible_to<std::string_view> Text>
    Cell(const Text& content, Colour paint_with = Colour::none)  // NOLINT(google-explicit-constructor)
        : Cell(std::string_view(content), paint_with, 0) {}
    std::string text;
    Colour colour;

private:
    Cell(std::string_view content, Colour paint_with, int);
};

// Aligned columns, two spaces between them, a header line, no trailing blanks.
class Table {
public:
    explicit Table(std::vector<Column> columns, std::string indent = {})
        : columns_(std::move(columns)), indent_(std::move(indent)) {}
    void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
    bool empty() const { return rows_.empty(); }
    std::string render(const Style& style) const;

private:
    std::vector<std::size_t> widths(const Style& style) const;  // 0 = column left out
    std::size_t total(const std::vector<std::size_t>& widths) const;
    std::string line(const std::vector<Cell>& row, const std::vector<std::size_t>& widths,
                     const Style& style) const;

    std::vector<Column> columns_;
    std::string indent_;
    std::vector<std::vector<Cell>> rows_;
};

// "Label     text" pairs; long text is wrapped under itself. An empty label continues the last one.
class Fields {
public:
    // text may hold foreign text; it is made printable.
    void add(std::string label, std::string_view text, Colour colour = Colour::none);
    std::string render(const Style& style) const;

private:
    struct Field {
        std::string label, text;
        Colour colour;
    };
    std::vector<Field> fields_;
};

}  // namespace wglan::ctl
