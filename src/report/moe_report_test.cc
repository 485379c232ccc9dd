// The table of routing on a terminal.
#include "report/moe_report.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/text_table.h"

namespace oxidized {
namespace {

// 32 experts have a bar each, and the widest cells there can be; of bytes, three make a bar.
TEST(RoutingTable, FitsTheColumnsOfATable) {
  RoutingStats stats(1, 32);
  std::vector<int32_t> experts(1000, 31);
  std::vector<float> weights(1000, 1.0f);
  std::vector<uint8_t> none(1000, 0);
  stats.Add(RoutingPhase::kDecode, 0, {1, experts, weights, none, none});
  experts.resize(32);
  std::iota(experts.begin(), experts.end(), 0);
  weights.resize(32);
  none.resize(32);
  stats.Add(RoutingPhase::kDecode, 0, {1, experts, weights, none, none});
  const std::string table = RoutingTable(stats);
  const size_t last = table.rfind('\n') + 1;
  int cells = 0, bars = 0;
  for (const char c : table.substr(last)) {
    cells += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    bars += static_cast<unsigned char>(c) == 0xE2;
  }
  EXPECT_EQ(bars, 32) << table;
  EXPECT_LE(cells, kTableColumns) << table;
  EXPECT_TRUE(table.starts_with("layers, the worst balanced (by CV) first\n")) << table;
}

}  // namespace
}  // namespace oxidized
