// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/table.h"

#include <gtest/gtest.h>

#include "tools/wglanctl/render/text.h"

namespace wglan::ctl {
namespace {

Table sample() {
    Table table({{"NAME", false, 6}, {"BYTES", true, 0, 1}, {"WHY", false, 5, 2}});
    table.add({"東京-node", "12", "all is well"});
    table.add({"b", "12345678", ""});
    return table;
}

TEST(Table, AlignsByDisplayedWidth) {
    EXPECT_EQ(sample().render({}),
              "NAME          BYTES  WHY\n"
              "東京-node        12  all is well\n"
              "b          12345678\n");
}

TEST(Table, CutsTheWidestColumnsToFit) {
    EXPECT_EQ(sample().render({false, 28}),
              "NAME         BYTES  WHY\n"
              "東京-no…        12  all is…\n"
              "b         12345678\n");
    EXPECT_EQ(sample().render({false, 23}),
              "NAME       BYTES  WHY\n"
              "東京-…        12  all…\n"
              "b       12345678\n");
}

TEST(Table, LeavesOutTheLeastImportantColumnsWhenCuttingIsNotEnough) {
    EXPECT_EQ(sample().render({false, 18}),
              "NAME      WHY\n"
              "東京-no…  all is…\n"
              "b\n");
    EXPECT_EQ(sample().render({false, 8}), "NAME\n東京-no…\nb\n");
    EXPECT_EQ(sample().render({false, 1}), "NAME\n東京-…\nb\n");
}

TEST(Table, NoLineIsWiderThanTheTerminal) {
    for (std::size_t width = 8; width < 40; ++width) {
        std::string text = sample().render({false, width});
        for (std::size_t at = 0; at < text.size();) {
            std::size_t end = text.find('\n', at);
            EXPECT_LE(display_width(std::string_view(text).substr(at, end - at)), width) << text;
            at = end + 1;
        }
    }
}

TEST(Table, LeavesOutOptionalColumnsWithoutValues) {
    Table table({{"A"}, {"B", true, 0, 1, true}, {"C", true, 0, 1, true}});
    table.add({"1", "-", "-"});
    table.add({"2", "-", "3"});
    EXPECT_EQ(table.render({}), "A  C\n1  -\n2  3\n");
}

TEST(Table, PaintsInsideThePadding) {
    Table table({{"S"}, {"T"}});
    table.add({Cell("up", Colour::good), "x"});
    EXPECT_EQ(table.render({true, 0}), "\x1b[1mS\x1b[0m   \x1b[1mT\x1b[0m\n\x1b[32mup\x1b[0m  x\n");
}

TEST(Table, CellsCannotSteerTheTerminal) {
    Table table({{"NAME"}});
    table.add({"a\x1b[2Jb\n"});
    EXPECT_EQ(table.render({}), "NAME\na\\x1b[2Jb\\x0a\n");
}

TEST(Fields, AlignAndWrapUnderThemselves) {
    Fields fields;
    fields.add("Node", "node1");
    fields.add("Sources", "one two three four five six seven");
    fields.add("", "more");
    EXPECT_EQ(fields.render({false, 30}),
              "Node     node1\n"
              "Sources  one two three four\n"
              "         five six seven\n"
              "         more\n");
    EXPECT_EQ(fields.render({}),
              "Node     node1\n"
              "Sources  one two three four five six seven\n"
              "         more\n");
}

}  // namespace
}  // namespace wglan::ctl
