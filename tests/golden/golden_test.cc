// The reference executor against transformers' GptOssForCausalLM in float32: every tap, the logits and the
// greedy continuation of every configuration in tests/golden/model/ (made by tools/golden_model.py, which
// says how).
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "checkpoint/checkpoint.h"
#include "executor/reference/reference_executor.h"
#include "golden/models.h"

namespace oxidized::test {
namespace {

constexpr double kF32Kl = 1e-9;  // nats; transformers' bf16 run has 1e-4 to 1e-3

// A chunk shorter than every window but one, that divides neither block nor prompt; a long prompt takes a
// longer one.
int32_t ChunkTokens(const GoldenModel& golden) { return golden.prompt.size() > 1000 ? 501 : 7; }

struct Case {
  const GoldenModel* golden;
  std::string layout;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.golden->name << '/' << c.layout; }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const GoldenModel& golden : Models()) {
    for (const std::string& layout : golden.checkpoints) cases.push_back({&golden, layout});
  }
  return cases;
}

SingleSequenceResult RunReference(const GoldenModel& golden, const std::string& layout,
                                  int32_t chunk_tokens) {
  const Checkpoint checkpoint = OpenCheckpoint(golden.folder / layout);
  ExecutorLimits limits;
  limits.max_context = static_cast<int64_t>(golden.prompt.size()) + kContinuation;
  limits.max_step_tokens = static_cast<int32_t>(golden.prompt.size());
  limits.max_sequences = 2;
  const auto executor = MakeReferenceExecutor(checkpoint.config, checkpoint.weights, limits);
  return RunSingleSequence(*executor, golden.prompt,
                           {.chunk_tokens = chunk_tokens,
                            .continuation = kContinuation,
                            .keep_from = golden.keep_from(),
                            .slot = 1});
}

void ExpectSameBits(const SingleSequenceResult& a, const SingleSequenceResult& b) {
  EXPECT_EQ(a.logits.values, b.logits.values);
  EXPECT_EQ(a.continuation, b.continuation);
  ASSERT_EQ(a.taps.size(), b.taps.size());
  for (const auto& [key, expected] : a.taps)
    EXPECT_EQ(b.taps.at(key).values, expected.values) << key.first << " of layer " << key.second;
}

class Golden : public ::testing::TestWithParam<Case> {};

TEST_P(Golden, EveryTapLogitsAndGreedyContinuation) {
  const GoldenModel& golden = *GetParam().golden;
  const SingleSequenceResult run = RunReference(golden, GetParam().layout, 0);
  ExpectTapsAndLogits(golden, run, kTolerance);
  ASSERT_EQ(golden.continuation.size(), static_cast<size_t>(kContinuation));
  EXPECT_EQ(run.continuation, golden.continuation);
  const double kl = MeanKl(golden.ReadLogits(), GoldenLogitRows(golden, run.logits));
  EXPECT_LT(kl, kF32Kl);
  EXPECT_GT(golden.transformers_bf16_mean_kl, 1e4 * kF32Kl) << "the yardstick of bf16 runs is itself sound";
}

// Another cut of the prompt, sliding tables that begin late and blocks used twice change no bit of the
// reference.
TEST_P(Golden, ChunkingChangesNothing) {
  const GoldenModel& golden = *GetParam().golden;
  ExpectSameBits(RunReference(golden, GetParam().layout, 0),
                 RunReference(golden, GetParam().layout, ChunkTokens(golden)));
}

INSTANTIATE_TEST_SUITE_P(Transformers, Golden, ::testing::ValuesIn(Cases()), [](const auto& param_info) {
  std::string name = param_info.param.golden->name + "_" + param_info.param.layout;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// Layouts of the same weights give the same bits, not only the same golden.
TEST(GoldenLayouts, TransposedBf16EqualsMxfp4) {
  int compared = 0;
  for (const GoldenModel& golden : Models()) {
    if (golden.checkpoints.size() < 2) continue;
    ExpectSameBits(RunReference(golden, "mxfp4", 0), RunReference(golden, "bf16", 0));
    ++compared;
  }
  EXPECT_GE(compared, 2);
}

// A folder that lost its goldens must not pass as a folder without findings.
TEST(GoldenLayouts, TheCommittedConfigurationsAreThere) { EXPECT_GE(Models().size(), 7u); }

}  // namespace
}  // namespace oxidized::test
