// What a warm-up costs and what a sample counts: tokens are counted by an engine on a fake executor.
#include "bench/bench_engine.h"

#include <gtest/gtest.h>

#include <tuple>

#include "executor/testing/fake_executor.h"

namespace oxidized::cli {
namespace {

class BenchEngineTest : public ::testing::Test {
 protected:
  // Prompt tokens computed since the last call.
  int64_t Computed() {
    const int64_t all = engine_.prefill_totals().rows, before = std::exchange(before_, all);
    return all - before;
  }
  int64_t WarmUp(const std::string& test) {
    bench_.WarmUp(ParseBenchTest(test));
    return Computed();
  }
  int64_t Run(const std::string& test) {
    Sampled(test);
    return Computed();
  }
  StageTotals Sampled(const std::string& test) { return bench_.Run(ParseBenchTest(test)).stages; }

 private:
  FakeExecutor executor_{{.max_context = 1 << 15, .kv_blocks = {1 << 11, 1 << 11}}};
  Engine engine_{executor_};
  BenchEngine bench_{engine_, 0};
  int64_t before_ = 0;
};

TEST_F(BenchEngineTest, NoPromptIsComputedTwiceToWarmUp) {
  constexpr int64_t kShort = 1024;
  EXPECT_LE(WarmUp("pp8192"), kShort);
  EXPECT_EQ(Run("pp8192"), 8192);
  EXPECT_LE(WarmUp("tg8@d6000"), kShort);
  EXPECT_GT(Run("tg8@d6000"), 6000 - kShort);
  EXPECT_EQ(Run("tg8@d6000"), 0) << "kept since the first run";
  EXPECT_LE(WarmUp("pp64@d9000"), kShort);
  EXPECT_GT(Run("pp64@d9000"), 64);
  EXPECT_EQ(Run("pp64@d9000"), 64);
}

TEST_F(BenchEngineTest, APromptIsAllOfItsSteps) {
  // A step holds 64 tokens: the last one of the second prompt has a step to itself, as has the third.
  for (const auto& [test, rows, steps] : {std::tuple("pp130", 130, 3), {"pp129", 129, 3}, {"pp1", 1, 1}}) {
    const StageTotals totals = Sampled(test);
    EXPECT_EQ(totals.rows, rows) << test;
    EXPECT_EQ(totals.steps, steps) << test;
  }
}

}  // namespace
}  // namespace oxidized::cli
