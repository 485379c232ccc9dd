#include "tensor/expert_layout.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace oxidized {
namespace {

TEST(ExpertLayouts, EachRowStandsAtItsPlaceAndSaysSomething) {
  std::set<std::string> names;
  for (const ExpertLayoutRow& row : kExpertLayouts) {
    EXPECT_EQ(&LayoutRow(row.layout), &row) << row.name;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(row.readers.f32 || row.readers.bf16 || row.readers.int8) << row.name;
    EXPECT_GE(row.row_multiple, 1) << row.name;
    // What is made in memory is made of MXFP4 as files have it, and no file has it.
    EXPECT_EQ(row.scales == ScalePlace::kMoved, !row.in_files) << row.name;
  }
}

}  // namespace
}  // namespace oxidized
