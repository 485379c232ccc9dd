#include "base/text_table.h"

#include <gtest/gtest.h>

namespace oxidized {
namespace {

TextTable Example() {
  return {{"what", "unit", "value", "share"},
          {{"first", "us", "1.5", ""}, {"group"}, {"  b", "us", "100", ""}}};
}

TEST(TextTable, ColumnsAreAsWideAsTheyNeed) {
  EXPECT_EQ(Aligned(Example(), " "),
            " what   unit  value  share\n first    us    1.5\n group\n   b      us    100\n");
}

TEST(TextTable, WhatSaysNothingIsDropped) {
  TextTable table = Example();
  table.DropEmpty();
  EXPECT_EQ(table.DropCommon("unit"), "us");
  EXPECT_EQ(table.DropCommon("value"), "");
  EXPECT_EQ(table.DropCommon("speed"), "");
  EXPECT_EQ(Aligned(table), "what   value\nfirst    1.5\ngroup\n  b      100\n");
}

TEST(TextTable, AsMarkdown) {
  EXPECT_EQ(Markdown({{"a", "b"}, {{"1", "2"}}}), "| a | b |\n|---|---:|\n| 1 | 2 |\n");
}

}  // namespace
}  // namespace oxidized
