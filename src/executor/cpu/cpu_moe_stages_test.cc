// The stages by themselves against the same stages inside the executor's step, bit for bit, and what they say
// they cost against counts made another way.
#include "executor/cpu/cpu_moe_stages.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "executor/cpu/test_model.h"
#include "executor/taps.h"

namespace oxidized {
namespace {

constexpr int64_t kTokens = 40;
constexpr int32_t kLayers = 2, kExperts = 8, kPerToken = 3, kWidth = 64, kExpertWidth = 96;

const test::TestModel& Model() {
  static const test::TestModel model = [] {
    ModelConfig c;
    c.num_layers = kLayers;
    c.hidden_size = kWidth;
    c.num_heads = 4;
    c.num_kv_heads = 2;
    c.head_dim = 16;
    c.experts_per_token = kPerToken;
    c.expert_width = kExpertWidth;
    c.vocab_size = 97;
    c.max_context = 256;
    c.layers = AlternatingLayers(kLayers, kPublishedWindow, kExperts);
    return test::TestModel(c, DType::kBF16, ExpertLayout::kMxfp4);
  }();
  return model;
}

class KeepTaps final : public TapSink {
 public:
  std::map<std::pair<std::string, int32_t>, std::vector<float>> taps;
  void Tap(std::string_view name, int32_t layer, std::span<const float> values, int64_t) override {
    taps[{std::string(name), layer}].assign(values.begin(), values.end());
  }
};

std::unique_ptr<MoeStages> Stages(Precision precision, int64_t max_tokens = kTokens) {
  return MakeCpuMoeStages(Model().config, Model().weights,
                          {.limits = {}, .precision = precision, .threads = 2}, max_tokens);
}

TEST(CpuMoeStagesTest, GiveTheBitsOfTheExecutorsStep) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kF16}) {
    const auto executor = MakeCpuExecutor(
        Model().config, Model().weights,
        {.limits = {.max_context = 64, .max_step_tokens = kTokens}, .precision = precision, .threads = 1});
    std::vector<test::TestSequence> sequences(1);
    for (int32_t i = 0; i < kTokens; ++i) sequences[0].tokens.push_back((i * 31 + 7) % 97);
    KeepTaps taps;
    test::TestBatcher(*executor, sequences).Step({kTokens}, {}, &taps);

    const auto stages = Stages(precision);
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      stages->SetInput(taps.taps.at({std::string(tap::kMlpNorm), layer}));
      stages->Router(layer);
      stages->Choose({});
      stages->Dispatch();
      stages->GateUp(layer);
      stages->Down(layer);
      stages->Combine();
      const std::vector<float>& expected = taps.taps.at({std::string(tap::kMoeOut), layer});
      ASSERT_EQ(stages->output().size(), expected.size());
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), stages->output().begin()))
          << Name(precision) << layer;
    }
  }
}

TEST(CpuMoeStagesTest, CountBytesAndOperations) {
  const auto stages = Stages(Precision::kBf16);
  stages->SetInput(std::vector<float>(static_cast<size_t>(kTokens * kWidth), 0.5f));
  const StageCost router = stages->Router(0);
  EXPECT_EQ(router.bytes, kExperts * kWidth * 2);
  EXPECT_EQ(router.flops, 2 * kTokens * kExperts * kWidth);

  // Logits that send row t to experts t, t + 1, t + 2 (mod 8), but only the first 5 rows exist: 7 experts.
  constexpr int64_t kRows = 5;
  stages->SetInput(std::vector<float>(static_cast<size_t>(kRows * kWidth), 0.5f));
  std::vector<float> logits(static_cast<size_t>(kRows * kExperts), 0.0f);
  std::set<int64_t> used;
  for (int64_t t = 0; t < kRows; ++t) {
    for (int64_t rank = 0; rank < kPerToken; ++rank) {
      logits[static_cast<size_t>(t * kExperts + (t + rank) % kExperts)] = 3.0f - static_cast<float>(rank);
      used.insert((t + rank) % kExperts);
    }
  }
  stages->SetLogits(logits);
  stages->Choose({});
  stages->Dispatch();
  EXPECT_EQ(stages->experts_used(), static_cast<int64_t>(used.size()));
  EXPECT_EQ(stages->busiest_rows(), kPerToken);  // expert 2: of rows 0, 1 and 2
  const auto experts = static_cast<int64_t>(used.size());
  const StageCost gate_up = stages->GateUp(1), down = stages->Down(1), combine = stages->Combine();
  // MXFP4: 17 bytes for 32 values; a bf16 bias a row.
  EXPECT_EQ(gate_up.bytes, experts * (2 * kExpertWidth * kWidth / 32 * 17 + 2 * kExpertWidth * 2));
  EXPECT_EQ(down.bytes, experts * (kWidth * kExpertWidth / 32 * 17 + kWidth * 2));
  EXPECT_EQ(gate_up.flops, 2 * kRows * kPerToken * 2 * kExpertWidth * kWidth);
  EXPECT_EQ(down.flops, 2 * kRows * kPerToken * kExpertWidth * kWidth);
  EXPECT_EQ(combine.bytes, 0);
  EXPECT_EQ(combine.flops, 2 * kRows * kPerToken * kWidth);
}

// All rows at one expert: each output is that expert's, whoever shares the call.
TEST(CpuMoeStagesTest, ForcedChoices) {
  const auto stages = Stages(Precision::kF32);
  std::vector<float> rows;
  for (int32_t i = 0; i < 2 * kWidth; ++i) rows.push_back(static_cast<float>(i % 13) * 0.1f - 0.5f);
  const auto output = [&](std::vector<int32_t> experts) {
    stages->SetInput(std::span(rows).first(experts.size() * kWidth));
    stages->SetChoices(experts);
    stages->Dispatch();
    stages->GateUp(0);
    stages->Down(0);
    stages->Combine();
    return std::vector<float>(stages->output().begin(), stages->output().end());
  };
  const std::vector<float> both = output({5, 5}), apart = output({5, 2}), alone = output({5});
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), both.begin()));
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), apart.begin()));
  EXPECT_FALSE(std::equal(both.begin() + kWidth, both.end(), apart.begin() + kWidth));
  // Back to the model's own number of experts, after memory was sized for one.
  stages->Router(0);
  stages->Choose({});
  stages->Dispatch();
  EXPECT_GE(stages->experts_used(), kPerToken);
}

}  // namespace
}  // namespace oxidized
