#include <gtest/gtest.h>

#include "kv/block_pool.h"
#include "kv/kv_layout.h"
#include "kv/prefix_cache.h"

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

class PrefixCacheTest : public testing::Test {
 protected:
  // Tables as a sequence of `length` tokens has them: everything, and the last window of 40.
  std::vector<BlockTable> Tables(int64_t length) {
    std::vector<BlockTable> tables(2);
    for (size_t g = 0; g < 2; ++g) {
      while (tables[g].end_position() < length) tables[g].blocks.push_back(pools_[g].Allocate());
    }
    tables[1].ReleaseBefore(length - 40 + 1, pools_[1]);
    return tables;
  }
  void Drop(std::vector<BlockTable>& tables) {
    for (size_t g = 0; g < 2; ++g) tables[g].ReleaseAll(pools_[g]);
  }
  static std::vector<int32_t> Count(int32_t n) {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < n; ++i) tokens.push_back(i);
    return tokens;
  }

  std::vector<BlockPool> pools_{BlockPool(32), BlockPool(16)};
  PrefixCache cache_{{0, 40}, pools_};
  std::vector<BlockCopy> copies_;
};

TEST_F(PrefixCacheTest, TheBlockWrittenNextIsCopied) {
  auto donor = Tables(100);
  cache_.Keep(0, Count(100), donor);
  std::vector<BlockTable> tables(2);
  EXPECT_EQ(cache_.Resume(0, Count(120), 119, tables, copies_), 100);
  ASSERT_EQ(copies_.size(), 2u);
  EXPECT_EQ(tables[0].blocks.size(), 4u);
  EXPECT_EQ(tables[0].blocks[2], donor[0].blocks[2]);
  EXPECT_EQ(copies_[0].from, donor[0].blocks[3]);
  EXPECT_EQ(copies_[0].to, tables[0].blocks[3]);
  EXPECT_NE(copies_[0].to, copies_[0].from);
  EXPECT_EQ(tables[1].first_position, donor[1].first_position);
  Drop(donor);
  Drop(tables);
  EXPECT_TRUE(cache_.EvictOldest());
  EXPECT_EQ(pools_[0].num_free() + pools_[1].num_free(), 48);
}

TEST_F(PrefixCacheTest, WholeBlocksNeedNoCopy) {
  auto donor = Tables(96);
  cache_.Keep(0, Count(96), donor);
  std::vector<BlockTable> tables(2);
  EXPECT_EQ(cache_.Resume(0, Count(120), 119, tables, copies_), 96);
  EXPECT_TRUE(copies_.empty());
}

TEST_F(PrefixCacheTest, AFullPoolGivesUpOlderPrefixesForTheBlockToBeCopied) {
  auto old = Tables(64);
  cache_.Keep(0, Count(64), old);
  Drop(old);
  std::vector<int32_t> mine = Count(100);
  mine[0] = 9;  // another conversation
  auto donor = Tables(100);
  cache_.Keep(0, mine, donor);
  Drop(donor);
  while (pools_[1].num_free() > 0) pools_[1].Allocate();
  mine.resize(120, 7);
  std::vector<BlockTable> tables(2);
  EXPECT_EQ(cache_.Resume(0, mine, 119, tables, copies_), 100);
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(PrefixCacheTest, NothingIsGivenWhereTheWindowIsGone) {
  auto donor = Tables(200);
  cache_.Keep(0, Count(200), donor);
  std::vector<BlockTable> tables(2);
  EXPECT_EQ(cache_.Resume(0, Count(100), 99, tables, copies_), 0);  // sliding blocks before 160 were freed
  EXPECT_EQ(cache_.Resume(0, Count(200), 199, tables, copies_), 199);
}

TEST_F(PrefixCacheTest, VariantsDoNotMix) {
  auto donor = Tables(64);
  cache_.Keep(0, Count(64), donor);
  std::vector<BlockTable> tables(2);
  EXPECT_EQ(cache_.Resume(1, Count(65), 64, tables, copies_), 0);
}

TEST_F(PrefixCacheTest, KeepingTheSameTokensAgainReplacesTheEntry) {
  auto donor = Tables(64);
  cache_.Keep(0, Count(64), donor);
  cache_.Keep(0, Count(64), donor);
  EXPECT_EQ(cache_.size(), 1u);
  EXPECT_EQ(pools_[0].holders(donor[0].blocks[0]), 2);
}

TEST_F(PrefixCacheTest, TheLeastRecentlyUsedGoesFirst) {
  auto a = Tables(32), b = Tables(64);
  cache_.Keep(0, Count(32), a);
  std::vector<int32_t> other = Count(64);
  other[0] = 9;
  cache_.Keep(0, other, b);
  std::vector<BlockTable> tables(2);
  EXPECT_EQ(cache_.Resume(0, Count(40), 39, tables, copies_), 32);  // used: now the most recent
  EXPECT_TRUE(cache_.EvictOldest());
  std::vector<BlockTable> again(2);
  EXPECT_EQ(cache_.Resume(0, other, 63, again, copies_), 0);
}

}  // namespace
}  // namespace oxidized
