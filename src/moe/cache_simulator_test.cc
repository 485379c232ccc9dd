#include "moe/cache_simulator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace oxidized {
namespace {

AccessStream Synthetic(const char* routing, const RoutingShape& shape, int tokens, uint64_t seed = 1) {
  const TraceHeader header{shape, false, 10};
  SyntheticTokens source(*ParseSyntheticRouting(routing), header, seed);
  AccessStream stream(header);
  TraceRecord record;
  for (int t = 0; t < tokens; ++t) {
    source.Next(record);
    stream.Add(record);
  }
  stream.Finish();
  return stream;
}

int64_t Misses(const AccessStream& stream, std::optional<EvictionRule> rule, int64_t slots,
               double recall = -1.0) {
  const ExpertCacheLayer total =
      SimulateCache(stream, {.rule = rule, .slots = slots, .prefetch_recall = recall}).Total();
  EXPECT_EQ(total.hits + total.misses, stream.uses());
  EXPECT_EQ(total.bytes_read, 10 * (total.misses + total.prefetches));
  return total.misses;
}

// Least misses of any sequence of evictions, by trying all: the state is what is resident.
int64_t LeastMisses(const AccessStream& stream, size_t slots) {
  std::map<std::set<int32_t>, int64_t> states = {{{}, 0}};
  for (const AccessStream::Request& request : stream.requests()) {
    std::set<int32_t> wanted;
    for (const uint16_t e : stream.experts(request)) wanted.insert(request.layer * 100 + e);
    std::map<std::set<int32_t>, int64_t> after;
    for (const auto& [resident, misses] : states) {
      int64_t missing = 0;
      std::vector<int32_t> others;
      for (const int32_t id : wanted) missing += resident.count(id) == 0;
      std::set_difference(resident.begin(), resident.end(), wanted.begin(), wanted.end(),
                          std::back_inserter(others));
      const size_t kept = std::min(others.size(), slots - wanted.size());
      std::vector<bool> keep(others.size());
      std::fill_n(keep.begin(), kept, true);
      do {
        std::set<int32_t> next = wanted;
        for (size_t i = 0; i < others.size(); ++i) {
          if (keep[i]) next.insert(others[i]);
        }
        const auto [place, fresh] = after.emplace(next, misses + missing);
        if (!fresh) place->second = std::min(place->second, misses + missing);
      } while (std::prev_permutation(keep.begin(), keep.end()));
    }
    states = std::move(after);
  }
  int64_t least = stream.uses();
  for (const auto& [resident, misses] : states) least = std::min(least, misses);
  return least;
}

TEST(CacheSimulator, BeladyIsTheLeastOfAllChoices) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const AccessStream stream = Synthetic("uniform", {2, 4, 2, 4}, 12, seed);
    for (const size_t slots : {2u, 3u, 4u, 5u})
      EXPECT_EQ(Misses(stream, std::nullopt, static_cast<int64_t>(slots)), LeastMisses(stream, slots))
          << seed;
  }
}

TEST(CacheSimulator, NoRuleBeatsBeladyAndMoreRoomNeverHurtsLru) {
  for (const char* routing : {"uniform", "zipf:1.1", "sticky:0.7"}) {
    const AccessStream stream = Synthetic(routing, {4, 16, 2, 16}, 500);
    int64_t before = stream.uses();
    for (const int64_t slots : {2, 8, 16, 32, 48, 64}) {
      const int64_t least = Misses(stream, std::nullopt, slots);
      for (const EvictionRuleInfo& rule : EvictionRules()) EXPECT_GE(Misses(stream, rule.rule, slots), least);
      const int64_t lru = Misses(stream, EvictionRule::kLru, slots);
      EXPECT_LE(lru, before) << "LRU is a stack algorithm (Mattson et al. 1970)";
      before = lru;
    }
    EXPECT_EQ(before, Misses(stream, std::nullopt, 64)) << "with room for all, each expert is read once";
    EXPECT_LE(before, 64);
  }
}

TEST(CacheSimulator, FrequencyBeatsLruWherePopularityIsAllThereIs) {
  const AccessStream stream = Synthetic("zipf:1.1", {8, 32, 4, 32}, 2000);
  EXPECT_LT(Misses(stream, EvictionRule::kFrequency, 64),
            0.8 * static_cast<double>(Misses(stream, EvictionRule::kLru, 64)));
}

TEST(CacheSimulator, AllToOneIsReadOnce) {
  const AccessStream stream = Synthetic("all-to-one", {3, 16, 4, 16}, 100);
  for (const EvictionRuleInfo& rule : EvictionRules())
    EXPECT_EQ(Misses(stream, rule.rule, 12), 12) << rule.name;
}

TEST(CacheSimulator, APerfectGuessLeavesTheFirstRequestAlone) {
  const AccessStream stream = Synthetic("uniform", {4, 16, 2, 16}, 200);
  EXPECT_EQ(Misses(stream, EvictionRule::kLru, 8, 1.0), 2);
  const int64_t without = Misses(stream, EvictionRule::kLru, 8);
  const int64_t half = Misses(stream, EvictionRule::kLru, 8, 0.5);
  EXPECT_GT(half, without / 3);
  EXPECT_LT(half, without * 2 / 3);
  // Room for the layer under way alone: nothing can be fetched ahead, and nothing is lost.
  EXPECT_EQ(Misses(stream, EvictionRule::kLru, 2, 1.0), Misses(stream, EvictionRule::kLru, 2));
}

// A prefill step needs more experts than there is room: served in portions, each use once.
TEST(CacheSimulator, RequestsLargerThanTheCache) {
  const TraceHeader header{{2, 8, 2, 8}, false, 10};
  SyntheticTokens source(*ParseSyntheticRouting("uniform"), header, 3);
  AccessStream stream(header);
  TraceRecord record;
  for (int t = 0; t < 64; ++t) {
    source.Next(record);
    record.step = static_cast<uint32_t>(t / 16);
    stream.Add(record);
  }
  stream.Finish();
  EXPECT_EQ(stream.steps(), 4);
  EXPECT_EQ(stream.requests().size(), 8u);
  EXPECT_EQ(stream.uses(), 4 * 2 * 8) << "16 tokens use all experts";
  for (const double recall : {-1.0, 1.0}) Misses(stream, EvictionRule::kLru, 3, recall);
}

TEST(SyntheticTokens, AreWhatTheyAreCalled) {
  const RoutingShape shape{2, 16, 2, 16};
  const auto repeats = [&shape](const char* routing) {  // share of choices that the token before made too
    SyntheticTokens source(*ParseSyntheticRouting(routing), {shape, false, 0}, 1);
    TraceRecord record, before;
    int64_t same = 0;
    source.Next(before);
    for (int t = 0; t < 1000; ++t, before = record) {
      source.Next(record);
      for (size_t i = 0; i < 4; ++i)
        same += std::count(before.experts.begin() + static_cast<ptrdiff_t>(i / 2 * 2),
                           before.experts.begin() + static_cast<ptrdiff_t>(i / 2 * 2 + 2), record.experts[i]);
    }
    return static_cast<double>(same) / 4000.0;
  };
  EXPECT_NEAR(repeats("uniform"), 2.0 / 16, 0.02);
  EXPECT_NEAR(repeats("sticky:0.8"), 0.8, 0.05);
  EXPECT_EQ(repeats("all-to-one"), 1.0);
  EXPECT_GT(repeats("zipf:1.5"), 0.3);
  for (const char* bad : {"", "zipf", "zipf:", "zipf:x", "uniform:1", "sticky:1.5", "even"})
    EXPECT_EQ(ParseSyntheticRouting(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace oxidized
