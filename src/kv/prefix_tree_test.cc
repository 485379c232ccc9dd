#include "kv/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace oxidized {
namespace {

std::vector<int32_t> Count(int32_t n, int32_t from = 0) {
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < n; ++i) tokens.push_back(from + i);
  return tokens;
}

uint64_t CollidingHash(int32_t, std::span<const int32_t>) { return 7; }

class PrefixTreeTest : public testing::Test {
 protected:
  struct Donor {
    std::vector<int32_t> tokens;
    std::vector<BlockTable> tables;
    PrefixTree::Place place;
    int64_t resumed = 0;
  };

  // Tables as a sequence of `length` tokens has them: everything, and the last window of 40.
  std::vector<BlockTable> Tables(int64_t length) {
    std::vector<BlockTable> tables(2);
    for (size_t g = 0; g < 2; ++g) {
      while (tables[g].end_position() < length) tables[g].blocks.push_back(pools_[g].Allocate());
    }
    Slide(tables, length);
    return tables;
  }
  void Slide(std::vector<BlockTable>& tables, int64_t length) {
    tables[1].ReleaseBefore(length - 40 + 1, pools_[1]);
  }
  Donor Kept(std::vector<int32_t> tokens, int32_t variant = 0) {
    Donor donor{std::move(tokens), {}, {}};
    donor.tables = Tables(static_cast<int64_t>(donor.tokens.size()));
    tree_.Keep(variant, donor.tokens, donor.tables, donor.place);
    EXPECT_TRUE(tree_.Intact());
    return donor;
  }
  void Drop(Donor& donor) {
    for (size_t g = 0; g < 2; ++g) donor.tables[g].ReleaseAll(pools_[g]);
    tree_.Leave(donor.place);
    EXPECT_TRUE(tree_.Intact());
  }
  Donor Resumed(std::vector<int32_t> tokens, int64_t limit, int32_t variant = 0) {
    Donor resumed{std::move(tokens), std::vector<BlockTable>(2), {}};
    resumed.resumed = tree_.Resume(variant, resumed.tokens, limit, resumed.tables, copies_, resumed.place);
    EXPECT_TRUE(tree_.Intact());
    return resumed;
  }
  // How much a request would reuse that comes and goes.
  int64_t Reach(std::vector<int32_t> tokens, int64_t limit) {
    Donor there = Resumed(std::move(tokens), limit);
    Drop(there);
    return there.resumed;
  }

  std::vector<BlockPool> pools_{BlockPool(32), BlockPool(16)};
  PrefixTree tree_{{0, 40}, pools_};
  std::vector<BlockCopy> copies_;
};

TEST_F(PrefixTreeTest, TheBlockWrittenNextIsCopied) {
  Donor donor = Kept(Count(100));
  Donor next = Resumed(Count(120), 119);
  EXPECT_EQ(next.resumed, 100);
  ASSERT_EQ(copies_.size(), 2u);
  EXPECT_EQ(next.tables[0].blocks.size(), 4u);
  EXPECT_EQ(next.tables[0].blocks[2], donor.tables[0].blocks[2]);
  EXPECT_EQ(copies_[0].from, donor.tables[0].blocks[3]);
  EXPECT_EQ(copies_[0].to, next.tables[0].blocks[3]);
  EXPECT_NE(copies_[0].to, copies_[0].from);
  EXPECT_EQ(next.tables[1].first_position, donor.tables[1].first_position);
  Drop(donor);
  Drop(next);
  while (tree_.Evict(0)) {
  }
  EXPECT_EQ(tree_.num_nodes(), 0);
  EXPECT_EQ(pools_[0].num_free() + pools_[1].num_free(), 48);
}

TEST_F(PrefixTreeTest, WholeBlocksNeedNoCopy) {
  Donor donor = Kept(Count(96));
  EXPECT_EQ(Resumed(Count(120), 119).resumed, 96);
  EXPECT_TRUE(copies_.empty());
}

TEST_F(PrefixTreeTest, AFullPoolGivesUpOlderPrefixesForTheBlockToBeCopied) {
  Donor old = Kept(Count(64));
  Drop(old);
  std::vector<int32_t> mine = Count(100);
  mine[0] = 9;  // another conversation
  Donor donor = Kept(mine);
  Drop(donor);
  for (BlockPool& pool : pools_) {
    while (pool.num_free() > 0) pool.Allocate();
  }
  mine.resize(120, 7);
  EXPECT_EQ(Resumed(mine, 119).resumed, 100);
  EXPECT_LT(Resumed(Count(64), 63).resumed, 63);
}

// What is copied from is not what makes room, even if nothing else could.
TEST_F(PrefixTreeTest, WithoutRoomForACopyOnlyWholeBlocksAreReused) {
  Donor donor = Kept(Count(100));
  Drop(donor);
  while (pools_[0].num_free() > 0) pools_[0].Allocate();
  Donor next = Resumed(Count(120), 119);
  EXPECT_EQ(next.resumed, 96);
  EXPECT_TRUE(copies_.empty());
  EXPECT_EQ(next.tables[0].blocks.size(), 3u);
}

TEST_F(PrefixTreeTest, NothingIsGivenWhereTheWindowIsGone) {
  Donor donor = Kept(Count(200));
  EXPECT_EQ(Resumed(Count(100), 99).resumed, 0);  // sliding blocks before 160 were freed
  EXPECT_EQ(Resumed(Count(200), 199).resumed, 199);
}

TEST_F(PrefixTreeTest, VariantsDoNotMix) {
  Donor donor = Kept(Count(64));
  EXPECT_EQ(Resumed(Count(65), 64, 1).resumed, 0);
  Donor other = Kept(Count(64), 1);
  Donor next = Resumed(Count(65), 64, 1);
  EXPECT_EQ(next.resumed, 64);
  EXPECT_EQ(next.tables[0].blocks, other.tables[0].blocks);
}

TEST_F(PrefixTreeTest, WhatIsKeptAgainIsKeptOnce) {
  Donor donor = Kept(Count(70));
  const int64_t nodes = tree_.num_nodes();
  Donor again = Kept(Count(70));
  EXPECT_EQ(tree_.num_nodes(), nodes);
  EXPECT_EQ(again.tables[0].blocks[0], donor.tables[0].blocks[0]);  // a whole block's second copy was let go
  EXPECT_NE(again.tables[0].blocks[2], donor.tables[0].blocks[2]);  // a tail is written on by each
  EXPECT_EQ(pools_[0].holders(donor.tables[0].blocks[0]), 3);
}

TEST_F(PrefixTreeTest, TheLongestUnusedGoesFirst) {
  Donor a = Kept(Count(32)), b = Kept(Count(64, 100));
  Drop(a);
  Drop(b);
  Donor used = Resumed(Count(40), 39);
  EXPECT_EQ(used.resumed, 32);  // now the most recent
  Drop(used);
  EXPECT_TRUE(tree_.Evict(0));
  EXPECT_TRUE(tree_.Evict(0));
  EXPECT_EQ(Resumed(Count(64, 100), 63).resumed, 0);
  EXPECT_EQ(Resumed(Count(40), 39).resumed, 32);
}

TEST_F(PrefixTreeTest, WhatASequenceStandsOnStays) {
  Donor donor = Kept(Count(96));
  while (tree_.Evict(0)) {
  }
  EXPECT_EQ(tree_.num_nodes(), 3);
  Drop(donor);
  while (tree_.Evict(0)) {
  }
  EXPECT_EQ(tree_.num_nodes(), 0);
}

TEST_F(PrefixTreeTest, ATailGrowsIntoANode) {
  Donor donor = Kept(Count(40));
  EXPECT_EQ(tree_.num_nodes(), 2);
  donor.tokens = Count(64);
  tree_.Publish(0, donor.tokens, donor.tables, donor.place);
  EXPECT_TRUE(tree_.Intact());
  EXPECT_EQ(tree_.num_nodes(), 2);
  EXPECT_EQ(donor.place.tokens, 64);
  Donor there = Resumed(Count(80), 79);
  EXPECT_EQ(there.resumed, 64);
  EXPECT_TRUE(copies_.empty());
  std::vector<int32_t> fork = Count(40);
  fork.resize(70, -5);
  EXPECT_EQ(Resumed(fork, 69).resumed, 40);  // inside the node, by a copy
  EXPECT_EQ(copies_.size(), 2u);
}

// Sliding blocks go before anything of the full group, those in pinned windows last.
TEST_F(PrefixTreeTest, LooseBlocksGoBeforeWindowsAndLeaves) {
  Donor donor{Count(200), std::vector<BlockTable>(2), {}};
  for (size_t g = 0; g < 2; ++g) {
    while (donor.tables[g].end_position() < 200) donor.tables[g].blocks.push_back(pools_[g].Allocate());
  }
  tree_.Keep(0, donor.tokens, donor.tables, donor.place);
  tree_.PinWindow(donor.place, 70);
  Slide(donor.tables, 200);
  Drop(donor);
  EXPECT_EQ(Reach(Count(150), 149), 149);  // everything is still there
  int loose = 0;
  while (Reach(Count(150), 149) > 64) {
    ASSERT_TRUE(tree_.Evict(1));
    ++loose;
  }
  EXPECT_EQ(loose, 2);
  EXPECT_EQ(Reach(Count(150), 149), 64);   // the window pinned at 70, by whole blocks
  EXPECT_EQ(Reach(Count(210), 209), 200);  // and the one at the end
  EXPECT_EQ(tree_.num_nodes(), 7);
  while (tree_.Evict(1)) {
  }
  EXPECT_TRUE(tree_.Intact());
  EXPECT_EQ(tree_.num_nodes(), 7);  // nothing of the full group went for it
}

TEST_F(PrefixTreeTest, AForkPinsItsWindow) {
  std::vector<int32_t> a = Count(128), b = Count(128), c = Count(128);
  b[100] = c[100] = -1;
  c[101] = -2;
  const auto compute = [&](Donor& donor) {  // in one chunk, so that everything passes by
    for (size_t g = 0; g < 2; ++g) {
      while (donor.tables[g].end_position() < 128) donor.tables[g].blocks.push_back(pools_[g].Allocate());
    }
    tree_.Publish(0, donor.tokens, donor.tables, donor.place);
    Slide(donor.tables, 128);
    Drop(donor);
    EXPECT_TRUE(tree_.Intact());
  };
  Donor first{a, std::vector<BlockTable>(2), {}};
  compute(first);
  Donor second{b, std::vector<BlockTable>(2), {}};
  second.resumed = tree_.Resume(0, b, 96, second.tables, copies_, second.place);
  EXPECT_EQ(second.resumed, 96);
  compute(second);
  while (pools_[1].num_held() > 2) ASSERT_TRUE(tree_.Evict(1));  // all but one window
  EXPECT_TRUE(tree_.Intact());
  EXPECT_EQ(Resumed(c, 96).resumed, 96);
}

TEST_F(PrefixTreeTest, WhatCannotBeTrustedIsDiscarded) {
  Donor shared = Kept(Count(64));
  Donor poisoned = Resumed(Count(128), 127);
  for (size_t g = 0; g < 2; ++g) {
    while (poisoned.tables[g].end_position() < 128) poisoned.tables[g].blocks.push_back(pools_[g].Allocate());
  }
  tree_.Publish(0, poisoned.tokens, poisoned.tables, poisoned.place);
  EXPECT_EQ(tree_.num_nodes(), 4);
  tree_.Discard(poisoned.place);
  EXPECT_TRUE(tree_.Intact());
  EXPECT_EQ(tree_.num_nodes(), 2);  // what another stands on
  tree_.Discard(shared.place);
  EXPECT_EQ(tree_.num_nodes(), 0);
}

// Many conversations behind one long message: what they share is computed and kept once, and finding it costs
// the same whatever is kept.
TEST(PrefixTree, AThousandConversationsBehindOneMessage) {
  std::vector<BlockPool> pools{BlockPool(400), BlockPool(64)};  // far less than all of them need
  PrefixTree tree({0, 128}, pools);
  std::vector<BlockCopy> copies;
  for (int32_t chat = 0; chat < 1000; ++chat) {
    std::vector<int32_t> tokens = Count(2000);
    for (int32_t i = 0; i < 150; ++i) tokens.push_back(10000 + chat * 150 + i);
    std::vector<BlockTable> tables(2);
    PrefixTree::Place place;
    int64_t computed = tree.Resume(0, tokens, static_cast<int64_t>(tokens.size()) - 1, tables, copies, place);
    if (chat > 0) {
      ASSERT_GE(computed, 1968) << chat;
    }
    while (computed < static_cast<int64_t>(tokens.size())) {
      const int64_t before = computed;
      computed = std::min<int64_t>(computed + 512, static_cast<int64_t>(tokens.size()));
      for (size_t g = 0; g < 2; ++g) {
        while (tables[g].end_position() < computed) {
          while (pools[g].num_free() == 0) ASSERT_TRUE(tree.Evict(g));
          tables[g].blocks.push_back(pools[g].Allocate());
        }
      }
      tree.Publish(0, std::span(tokens).first(static_cast<size_t>(computed)), tables, place);
      if (before < 2000 && computed >= 2000) tree.PinWindow(place, 2000);
      tables[1].ReleaseBefore(computed - 128 + 1, pools[1]);
    }
    tree.Keep(0, tokens, tables, place);
    for (size_t g = 0; g < 2; ++g) tables[g].ReleaseAll(pools[g]);
    tree.Leave(place);
    if (chat % 50 == 0) {
      ASSERT_TRUE(tree.Intact()) << chat;
    }
  }
  EXPECT_LE(tree.num_nodes(), 400);
}

TEST(PrefixTree, ALookupCostsTheSameWhateverIsKept) {
  std::vector<int64_t> visits;
  for (const int32_t kept : {10, 10000}) {
    std::vector<BlockPool> pools{BlockPool(40000), BlockPool(40000)};
    PrefixTree tree({0, 64}, pools);
    std::vector<BlockCopy> copies;
    const auto prompt = [](int32_t chat) {  // two nodes in common, one and a tail of its own
      std::vector<int32_t> tokens = Count(64);
      for (int32_t i = 0; i < 50; ++i) tokens.push_back(1000 + chat * 50 + i);
      return tokens;
    };
    for (int32_t chat = 0; chat < kept; ++chat) {
      const std::vector<int32_t> tokens = prompt(chat);
      std::vector<BlockTable> tables(2);
      PrefixTree::Place place;
      tree.Resume(0, tokens, 113, tables, copies, place);
      for (size_t g = 0; g < 2; ++g) {
        while (tables[g].end_position() < 114) tables[g].blocks.push_back(pools[g].Allocate());
      }
      tree.Keep(0, tokens, tables, place);
      for (size_t g = 0; g < 2; ++g) tables[g].ReleaseAll(pools[g]);
      tree.Leave(place);
    }
    EXPECT_GE(tree.num_nodes(), 2 * kept);
    int64_t most = 0;
    for (const int32_t chat : {0, 3, kept / 2, kept - 1, kept + 5}) {
      std::vector<BlockTable> tables(2);
      PrefixTree::Place place;
      const int64_t before = tree.visits();
      const int64_t resumed = tree.Resume(0, prompt(chat), 113, tables, copies, place);
      EXPECT_EQ(resumed, chat < kept ? 113 : 64);
      most = std::max(most, tree.visits() - before);
      for (size_t g = 0; g < 2; ++g) tables[g].ReleaseAll(pools[g]);
      tree.Leave(place);
    }
    visits.push_back(most);
  }
  // Whole nodes and who shares a bucket with them, then the few children that are tried.
  EXPECT_LE(visits[0], 16);
  EXPECT_LE(visits[1], 16);
}

// Sequences come, are computed in chunks, end, are preempted or fail, beside memory that remembers what was
// written where: every row that a sequence is about to see must be that of its own text.
class Simulation {
 public:
  Simulation(uint32_t seed, std::vector<int32_t> windows, std::vector<int32_t> blocks, PrefixTree::Hash hash)
      : random_(seed),
        windows_(std::move(windows)),
        pools_(blocks.begin(), blocks.end()),
        tree_(windows_, pools_, hash) {
    for (const int32_t count : blocks)
      memory_.emplace_back(static_cast<size_t>(count), std::vector<uint64_t>(kKvBlockTokens, 0));
  }

  void Run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const auto what = random_() % 8;
      if (running_.size() < 4 && what < 3) {
        Begin();
      } else if (!running_.empty()) {
        const size_t i = random_() % running_.size();
        what == 7 ? End(i) : Compute(i);
      }
      if (testing::Test::HasFatalFailure()) return;
      ASSERT_NO_FATAL_FAILURE(Check()) << round;
    }
    while (!running_.empty()) End(0);
    for (size_t g = 0; g < pools_.size(); ++g) {
      while (tree_.Evict(g)) {
      }
      ASSERT_EQ(pools_[g].num_held(), 0);
    }
    ASSERT_EQ(tree_.num_nodes(), 0);
  }
  int64_t reused() const { return reused_; }

 private:
  struct Sequence {
    int32_t variant;
    std::vector<int32_t> tokens;
    std::vector<uint64_t> text;  // what a row at each position must hold
    int64_t computed = 0;
    std::vector<BlockTable> tables;
    PrefixTree::Place place;
  };

  void Begin() {
    auto s = std::make_unique<Sequence>();
    s->variant = static_cast<int32_t>(random_() % 2);
    if (!texts_.empty() && random_() % 3 > 0) {  // begins like an earlier one, from anywhere on differently
      s->tokens = texts_[random_() % texts_.size()];
      s->tokens.resize(random_() % 2 == 0 ? s->tokens.size() : random_() % s->tokens.size());
    }
    const size_t length = s->tokens.size() + 1 + random_() % 90;
    while (s->tokens.size() < std::min<size_t>(length, 300))
      s->tokens.push_back(static_cast<int32_t>(random_() % 3));
    texts_.push_back(s->tokens);
    if (texts_.size() > 20) texts_.erase(texts_.begin());
    uint64_t hash = static_cast<uint64_t>(s->variant) + 1;
    for (const int32_t token : s->tokens)
      s->text.push_back(hash = (hash + static_cast<uint64_t>(token) + 1) * 0x9E3779B97F4A7C15u);
    s->tables.resize(pools_.size());
    std::vector<BlockCopy> copies;
    s->computed = tree_.Resume(s->variant, s->tokens, static_cast<int64_t>(s->tokens.size()) - 1, s->tables,
                               copies, s->place);
    reused_ += s->computed;
    for (const BlockCopy& copy : copies)
      memory_[static_cast<size_t>(copy.group)][static_cast<size_t>(copy.to)] =
          memory_[static_cast<size_t>(copy.group)][static_cast<size_t>(copy.from)];
    running_.push_back(std::move(s));
  }

  void Compute(size_t i) {
    Sequence& s = *running_[i];
    const auto left = static_cast<int64_t>(s.tokens.size()) - s.computed;
    if (left == 0) return End(i);
    const int64_t end = s.computed + 1 + static_cast<int64_t>(random_() % 70) % left;
    for (size_t g = 0; g < pools_.size(); ++g) {
      while (s.tables[g].end_position() < end) {
        if (pools_[g].num_free() == 0 && !tree_.Evict(g)) return End(i);  // no room: as if it were preempted
        if (pools_[g].num_free() > 0) s.tables[g].blocks.push_back(pools_[g].Allocate());
      }
    }
    for (int64_t p = s.computed; p < end; ++p) {
      for (size_t g = 0; g < pools_.size(); ++g) {
        Row(s, g, p) = s.text[static_cast<size_t>(p)];
        for (int64_t seen = windows_[g] == 0 ? 0 : std::max<int64_t>(0, p - windows_[g] + 1); seen <= p;
             ++seen) {
          ASSERT_GE(seen, s.tables[g].first_position);
          ASSERT_EQ(Row(s, g, seen), s.text[static_cast<size_t>(seen)]) << "group " << g << " row " << seen;
        }
      }
    }
    const int64_t before = s.computed;
    s.computed = end;
    const auto done = std::span(s.tokens).first(static_cast<size_t>(end));
    if (random_() % 4 == 0) {
      tree_.Keep(s.variant, done, s.tables, s.place);
    } else {
      tree_.Publish(s.variant, done, s.tables, s.place);
    }
    if (random_() % 4 == 0) tree_.PinWindow(s.place, before + static_cast<int64_t>(random_() % 40));
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (windows_[g] > 0) s.tables[g].ReleaseBefore(s.computed - windows_[g] + 1, pools_[g]);
    }
    // A guess that turns out wrong is written behind what is computed.
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (s.tables[g].end_position() > s.computed) Row(s, g, s.computed) = random_();
    }
  }

  void End(size_t i) {
    Sequence& s = *running_[i];
    const auto how = random_() % 3;
    if (how == 0)
      tree_.Keep(s.variant, std::span(s.tokens).first(static_cast<size_t>(s.computed)), s.tables, s.place);
    for (size_t g = 0; g < pools_.size(); ++g) s.tables[g].ReleaseAll(pools_[g]);
    how == 1 ? tree_.Discard(s.place) : tree_.Leave(s.place);
    running_.erase(running_.begin() + static_cast<ptrdiff_t>(i));
  }

  void Check() {
    ASSERT_TRUE(tree_.Intact());
    for (size_t g = 0; g < pools_.size(); ++g) {
      std::vector<int32_t> holders = tree_.Holders(g);
      for (const auto& s : running_) {
        for (const int32_t block : s->tables[g].blocks) ++holders[static_cast<size_t>(block)];
        if (windows_[g] > 0) continue;
        const std::vector<int32_t> path = tree_.PathBlocks(s->place, g);
        ASSERT_LE(path.size(), s->tables[g].blocks.size());
        ASSERT_TRUE(std::equal(path.begin(), path.end(), s->tables[g].blocks.begin()));
      }
      for (int32_t block = 0; block < pools_[g].num_blocks(); ++block)
        ASSERT_EQ(pools_[g].holders(block), holders[static_cast<size_t>(block)]);
    }
  }

  uint64_t& Row(Sequence& s, size_t g, int64_t position) {
    const int64_t at = position - s.tables[g].first_position;
    const auto block = static_cast<size_t>(s.tables[g].blocks[static_cast<size_t>(at / kKvBlockTokens)]);
    return memory_[g][block][static_cast<size_t>(at % kKvBlockTokens)];
  }

  std::mt19937 random_;
  std::vector<int32_t> windows_;
  std::vector<BlockPool> pools_;
  PrefixTree tree_;
  std::vector<std::vector<std::vector<uint64_t>>> memory_;  // [group][block][row]
  std::vector<std::unique_ptr<Sequence>> running_;
  std::vector<std::vector<int32_t>> texts_;
  int64_t reused_ = 0;
};

TEST(PrefixTree, EverySequenceSeesItsOwnText) {
  struct Shape {
    std::vector<int32_t> windows, blocks;
  };
  const Shape shapes[] = {
      {{0, 40}, {40, 24}}, {{0}, {36}}, {{0, 33, 100}, {60, 30, 40}}, {{64}, {30}}, {{0, 1}, {50, 8}}};
  for (const PrefixTree::Hash hash : {&PrefixTree::HashOf, &CollidingHash}) {
    for (const Shape& shape : shapes) {
      int64_t reused = 0;
      for (uint32_t seed = 0; seed < 12; ++seed) {
        Simulation simulation(seed, shape.windows, shape.blocks, hash);
        ASSERT_NO_FATAL_FAILURE(simulation.Run(400))
            << "seed " << seed << " windows " << shape.windows.size();
        reused += simulation.reused();
      }
      EXPECT_GT(reused, 3000);
    }
  }
}

}  // namespace
}  // namespace oxidized
