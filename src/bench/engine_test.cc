// What a warm-up costs and what a sample counts: tokens are counted by an engine on a fake executor.
#include "bench/engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <tuple>

#include "executor/testing/fake_executor.h"

namespace oxidized {
namespace {

class BenchEngineTest : public ::testing::Test {
 protected:
  // Prompt tokens computed since the last call.
  int64_t Computed() {
    const int64_t all = loop_.Call([](const Engine& engine) { return engine.prefill_totals().rows; });
    const int64_t before = std::exchange(before_, all);
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

  FakeExecutor executor_{{.max_context = 1 << 15, .kv_blocks = {1 << 11, 1 << 11}}};
  EngineLoop loop_{std::make_unique<Engine>(executor_)};
  BenchEngine bench_{loop_, 0};

 private:
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

TEST_F(BenchEngineTest, EveryTimedStepOfABatchHasARowOfEach) {
  for (const auto& [test, rows, steps] :
       {std::tuple("tg7", 7, 7), {"tg3@d150", 3, 3}, {"b4@d9", 4 * 32, 32}}) {
    const BenchEngine::Result result = bench_.Run(ParseBenchTest(test));
    EXPECT_EQ(result.stages.rows, rows) << test;
    EXPECT_EQ(result.stages.steps, steps) << test;
    EXPECT_GT(result.sample.seconds, 0.0) << test;
    EXPECT_DOUBLE_EQ(result.sample.value, static_cast<double>(rows) / result.sample.seconds) << test;
  }
}

// What is timed are the steps themselves, whatever the reader of the streams does meanwhile.
TEST_F(BenchEngineTest, TheTimeIsThatOfTheSteps) {
  constexpr auto kStep = std::chrono::milliseconds(2);
  int64_t steps = 0;
  executor_.on_step = [&](int64_t) {
    ++steps;
    std::this_thread::sleep_for(kStep);
    return false;  // nothing fails
  };
  const BenchEngine::Result decoded = bench_.Run(ParseBenchTest("tg10"));
  const double least = std::chrono::duration<double>(10 * kStep).count();
  EXPECT_GE(decoded.sample.seconds, least);
  EXPECT_LT(decoded.sample.seconds, static_cast<double>(steps) * least / 10 * 5) << "one that never ends";
  EXPECT_GE(steps, 13) << "one of the prompt and two untimed ones before";
  EXPECT_LE(steps, 15);
  EXPECT_GE(bench_.Run(ParseBenchTest("pp130")).sample.seconds, 3 * least / 10) << "three steps";
}

TEST(BenchEngineBatch, MoreSequencesThanAByteCounts) {
  constexpr int32_t kSequences = 600;
  FakeExecutor executor({.max_context = 1 << 15,
                         .max_sequences = kSequences,
                         .max_step_tokens = kSequences,
                         .kv_blocks = {1 << 13, 1 << 14}});
  EngineLoop loop(std::make_unique<Engine>(executor));
  BenchEngine bench(loop, 0);
  const BenchTest test = ParseBenchTest("b600@d8");
  EXPECT_EQ(bench.Lacks(test), "");
  const BenchEngine::Result result = bench.Run(test);
  EXPECT_EQ(result.stages.rows, 32 * kSequences);
  EXPECT_EQ(result.stages.steps, 32);
  EXPECT_NE(bench.Lacks(ParseBenchTest("b601@d8")), "");
}

TEST(BenchEngineBatch, SequencesThatDoNotFitTogetherAreSaidToBe) {
  // Room for the prompts, not for what the answers add: some are preempted in the timed part.
  FakeExecutor executor({.max_context = 1 << 12, .max_sequences = 4, .kv_blocks = {12, 64}});
  EngineLoop loop(std::make_unique<Engine>(executor));
  BenchEngine bench(loop, 0);
  EXPECT_THROW(bench.Run(ParseBenchTest("b4@d90")), Error);
  EXPECT_GT(bench.Run(ParseBenchTest("tg4")).sample.value, 0.0) << "the engine goes on";
}

}  // namespace
}  // namespace oxidized
