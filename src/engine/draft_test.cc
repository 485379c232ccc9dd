#include "engine/draft.h"

#include <gtest/gtest.h>

#include <random>

namespace oxidized {
namespace {

std::vector<int32_t> Guesses(const DraftSource& source, const std::vector<int32_t>& tokens, int32_t count) {
  std::vector<int32_t> guesses;
  source.Propose(tokens, count, guesses);
  return guesses;
}

TEST(DraftSource, WhatFollowedTheLongestMatchIsGuessed) {
  //                                 |........|            |........|
  const std::vector<int32_t> tokens = {9, 1, 2, 3, 4, 5, 8, 1, 2, 3, 7, 6, 9, 1, 2, 3};
  DraftSource source(64, 3);
  source.Extend(tokens, 0);
  EXPECT_EQ(source.match(), 4);  // 9 1 2 3, not the newer 1 2 3
  EXPECT_EQ(Guesses(source, tokens, 4), (std::vector<int32_t>{4, 5, 8, 1}));
}

TEST(DraftSource, OfEqualMatchesTheNewestCounts) {
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3};
  DraftSource source(64, 3);
  source.Extend(tokens, 0);
  EXPECT_EQ(source.match(), 3);
  EXPECT_EQ(Guesses(source, tokens, 1), (std::vector<int32_t>{5}));
}

TEST(DraftSource, ALoopGoesOn) {
  const std::vector<int32_t> tokens = {5, 1, 2, 1, 2, 1, 2};
  DraftSource source(64, 3);
  source.Extend(tokens, 0);
  EXPECT_EQ(Guesses(source, tokens, 7), (std::vector<int32_t>{1, 2, 1, 2, 1, 2, 1}));
}

TEST(DraftSource, NothingIsGuessedWithoutAMatch) {
  DraftSource source(64, 3);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 40; ++i) {
    tokens.push_back(i % 20 == 19 ? 100 + i : i % 2);  // 0 1 0 1 ... broken off
    source.Extend(tokens, 0);
  }
  EXPECT_EQ(source.match(), 0);
  tokens = {1, 2};
  DraftSource young(64, 3);
  young.Extend(tokens, 0);
  EXPECT_EQ(young.match(), 0);
}

TEST(DraftSource, LikelihoodIsWhatCameTrue) {
  DraftSource source(4096, 3);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 400; ++i) tokens.push_back(i % 50);
  source.Extend(tokens, 50);
  EXPECT_GT(source.Likelihood(DraftSource::kLongestMatch), 0.99);

  DraftSource disappointed(4096, 3);
  tokens.clear();
  for (int32_t i = 0; i < 100; ++i) {  // 1 2 3 is always followed by something new
    for (const int32_t token : {1, 2, 3, 100 + i}) tokens.push_back(token);
  }
  disappointed.Extend(tokens, 0);
  EXPECT_LT(disappointed.Likelihood(3), 0.1);
}

TEST(DraftSource, GivenTokensTeachNothing) {
  DraftSource source(4096, 3);
  const double before = source.Likelihood(20);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 400; ++i) tokens.push_back(i % 50);
  source.Extend(tokens, 400);
  EXPECT_EQ(source.Likelihood(20), before);
  EXPECT_EQ(source.match(), DraftSource::kLongestMatch);  // but can be matched
}

// Against looking at every earlier place, while buckets are few and shared by many.
TEST(DraftSource, AMatchIsAlwaysReal) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    DraftSource source(64, 2);  // the smallest table; more tokens than it was made for
    std::vector<int32_t> tokens;
    int32_t found = 0;
    for (int32_t i = 0; i < 500; ++i) {
      tokens.push_back(static_cast<int32_t>(random() % 12));
      source.Extend(tokens, 0);
      if (source.match() == 0) continue;
      ++found;
      const int32_t next = Guesses(source, tokens, 1)[0];
      bool real = false;
      const auto match = static_cast<size_t>(source.match());
      for (size_t end = match; end < tokens.size(); ++end) {
        real |= tokens[end] == next && std::equal(tokens.begin() + static_cast<ptrdiff_t>(end - match),
                                                  tokens.begin() + static_cast<ptrdiff_t>(end),
                                                  tokens.end() - static_cast<ptrdiff_t>(match));
      }
      ASSERT_TRUE(real) << seed << " " << i;
    }
    EXPECT_GT(found, 100);
  }
}

}  // namespace
}  // namespace oxidized
