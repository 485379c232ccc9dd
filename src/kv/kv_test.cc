#include <gtest/gtest.h>

#include "kv/block_pool.h"
#include "kv/kv_layout.h"

namespace oxidized {
namespace {

TEST(KvLayout, LayersOfOneKindShareAGroup) {
  ModelConfig config;
  config.num_layers = 4;
  config.layers = AlternatingLayers(4, 128, 8);
  const KvLayout layout(config);
  ASSERT_EQ(layout.groups.size(), 2u);
  EXPECT_EQ(layout.groups[0].window, 0);
  EXPECT_EQ(layout.groups[0].layers, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(layout.groups[1].window, 128);
  EXPECT_EQ(layout.group_of_layer, (std::vector<int32_t>{1, 0, 1, 0}));
  EXPECT_EQ(layout.index_in_group, (std::vector<int32_t>{0, 0, 1, 1}));
}

TEST(KvLayout, EveryWindowHasAGroup) {
  ModelConfig config;
  config.num_layers = 5;
  config.layers = {{128, 64}, {std::nullopt, 64}, {8192, 128}, {128, 128}, {std::nullopt, 64}};
  const KvLayout layout(config);
  ASSERT_EQ(layout.groups.size(), 3u);
  EXPECT_EQ(layout.groups[0].window, 0);
  EXPECT_EQ(layout.groups[1].window, 128);
  EXPECT_EQ(layout.groups[2].window, 8192);
  EXPECT_EQ(layout.group_of_layer, (std::vector<int32_t>{1, 0, 2, 1, 0}));
  EXPECT_EQ(layout.index_in_group, (std::vector<int32_t>{0, 0, 0, 1, 1}));
}

TEST(BlockPool, HandsOutTheLowestFreeBlock) {
  BlockPool pool(3);
  EXPECT_EQ(pool.Allocate(), 0);
  EXPECT_EQ(pool.Allocate(), 1);
  pool.Release(0);
  EXPECT_EQ(pool.Allocate(), 0);
  EXPECT_EQ(pool.num_free(), 1);
}

TEST(BlockPool, ABlockIsFreeWhenItsLastHolderLeaves) {
  BlockPool pool(1);
  const int32_t block = pool.Allocate();
  pool.AddHolder(block);
  pool.Release(block);
  EXPECT_EQ(pool.num_free(), 0);
  pool.Release(block);
  EXPECT_EQ(pool.num_free(), 1);
}

TEST(BlockTable, ASlidingTableBeginsLate) {
  BlockPool pool(4);
  BlockTable table;
  for (int i = 0; i < 3; ++i) table.blocks.push_back(pool.Allocate());
  EXPECT_EQ(table.end_position(), 3 * kKvBlockTokens);
  table.ReleaseBefore(kKvBlockTokens + 1, pool);
  EXPECT_EQ(table.first_position, kKvBlockTokens);
  EXPECT_EQ(table.blocks, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(pool.num_free(), 2);
  table.ReleaseBefore(100 * kKvBlockTokens, pool);
  EXPECT_TRUE(table.blocks.empty());
  table.ReleaseAll(pool);
  EXPECT_EQ(pool.num_free(), 4);
}

}  // namespace
}  // namespace oxidized
