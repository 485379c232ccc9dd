// Where weights go on a card, and what a model takes there: all that needs no card.
#include "executor/cuda/cuda_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "executor/cpu/test_model.h"
#include "executor/cuda/cuda_executor.h"
#include "executor/cuda/matrix_upload.h"
#include "executor/cuda/policy_args.h"
#include "executor/cuda/shared_memory.h"

namespace oxidized {
namespace {

ModelConfig Small() {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_size = 96;
  config.num_heads = 9;
  config.num_kv_heads = 3;
  config.head_dim = 10;
  config.experts_per_token = 2;
  config.expert_width = 64;
  config.vocab_size = 131;
  config.layers = AlternatingLayers(2, 40, 5);
  return config;
}

TEST(CudaWeights, EveryRowOfQueryKeyAndValueIsTakenOnceAndPairsAreRotatedTogether) {
  const ModelConfig config = Small();
  const int64_t rows = config.query_width() + 2 * config.kv_width();
  std::set<std::pair<int, int64_t>> seen;
  for (int64_t r = 0; r < rows; r += 2) {
    const cuda::QkvRow a = cuda::QkvRowAt(config, r), b = cuda::QkvRowAt(config, r + 1);
    EXPECT_EQ(a.matrix, b.matrix);
    EXPECT_EQ(b.row - a.row, a.matrix == 2 ? 1 : config.head_dim / 2) << r;
    EXPECT_EQ(a.row / config.head_dim, b.row / config.head_dim);
    seen.insert({{a.matrix, a.row}, {b.matrix, b.row}});
  }
  EXPECT_EQ(std::ssize(seen), rows);
}

TEST(CudaWeights, AStoredFormHasAnExactOneOnTheCard) {
  struct Case {
    DType dense;
    ExpertLayout experts;
    int planes;  // of dense matrices
    cuda::Form form;
  };
  for (const Case& c : {Case{DType::kBF16, ExpertLayout::kMxfp4, 1, cuda::Form::kMxfp4},
                        Case{DType::kF32, ExpertLayout::kMxfp4, 3, cuda::Form::kMxfp4},
                        Case{DType::kF16, ExpertLayout::kTransposed, 2, cuda::Form::kBf16Planes},
                        Case{DType::kQ8_0, ExpertLayout::kGgmlMxfp4, 3, cuda::Form::kMxfp4},
                        Case{DType::kQ8_0, ExpertLayout::kRows, 3, cuda::Form::kBf16Planes}}) {
    ModelConfig config = Small();
    config.head_dim = 32;
    config.num_heads = config.num_kv_heads = 1;
    const test::TestModel model(config, c.dense, c.experts);
    const cuda::DeviceWeights placed(model.config, model.weights, cuda::Arithmetic::kBf16, 64, /*look=*/true);
    EXPECT_EQ(placed.model().head.planes, c.planes);
    EXPECT_EQ(placed.layer(0).qkv.planes, c.planes);
    EXPECT_EQ(placed.expert(1, 4).gate_up.form, c.form);
    EXPECT_GT(placed.bytes().dense, 0);
    EXPECT_GT(placed.bytes().experts, 0);
  }
}

TEST(CudaWeights, AScaleTooLargeForUnitsMakesItsMatrixBf16) {
  test::TestModel model(Small(), DType::kBF16, ExpertLayout::kMxfp4);
  const ExpertView& damaged = model.weights.layers[1].down[3];
  const_cast<std::byte*>(damaged.scales)[7] = std::byte{200};
  const cuda::DeviceWeights placed(model.config, model.weights, cuda::Arithmetic::kBf16, 64, /*look=*/true);
  EXPECT_EQ(placed.expert(1, 3).down.form, cuda::Form::kBf16Planes);
  EXPECT_EQ(placed.expert(1, 3).down.planes, 1);
  EXPECT_EQ(placed.expert(1, 3).gate_up.form, cuda::Form::kMxfp4);
  EXPECT_EQ(placed.expert(1, 2).down.form, cuda::Form::kMxfp4);
}

// Products of the published widths: 2880 and 64 heads of 64, which needs no weights to say.
TEST(CudaSharedMemory, PublishedWidthsHaveRingsInBf16AndFitInF32) {
  ModelConfig config = Small();
  config.num_layers = 1;
  config.hidden_size = config.expert_width = 2880;
  config.num_heads = 64;
  config.num_kv_heads = 8;
  config.head_dim = 64;
  config.layers = AlternatingLayers(1, 128, 2);
  const test::TestModel model(config, DType::kBF16, ExpertLayout::kMxfp4);
  const cuda::DeviceWeights bf16(model.config, model.weights, cuda::Arithmetic::kBf16, 64, /*look=*/false);
  const cuda::SharedMemory rings = cuda::SharedMemoryOf(model.config, bf16);
  EXPECT_EQ(rings.slots, 2);
  EXPECT_EQ(rings.slot_bytes, 5120);
  EXPECT_LE(rings.bytes, cuda::kMostShared);
  const cuda::DeviceWeights f32(model.config, model.weights, cuda::Arithmetic::kF32, 64, /*look=*/false);
  EXPECT_EQ(cuda::SharedMemoryOf(model.config, f32).slots, 0);
}

TEST(CudaPolicies, EveryRuleOfThisProgramIsKnown) {
  const std::vector<const RoutingStrategy*> known = cuda::KnownRules();
  ASSERT_EQ(known.size(), RoutingStrategies().size());
  for (const RoutingStrategy* rule : RoutingStrategies())
    EXPECT_NE(std::find(known.begin(), known.end(), rule), known.end()) << rule->name();
  RoutingPolicy policy;
  EXPECT_EQ(cuda::PolicyArgsOf(policy, 4).k, 4);
  EXPECT_FALSE(cuda::PolicyArgsOf(policy, 4).has_capacity);
  policy.capacity_factor = 1.5;
  EXPECT_TRUE(cuda::PolicyArgsOf(policy, 4).has_capacity);
  EXPECT_EQ(cuda::PolicyArgsOf(policy, 4).capacity_factor, 1.5);
  policy.capacity_factor.reset();
  policy.strategy = FindRoutingStrategy("switch");
  EXPECT_EQ(cuda::PolicyArgsOf(policy, 4).k, 1);
  EXPECT_TRUE(cuda::PolicyArgsOf(policy, 4).has_capacity);  // 1 unless given
}

TEST(CudaWeights, AnEstimateGrowsWithWhatIsAskedFor) {
  const test::TestModel model(Small(), DType::kBF16, ExpertLayout::kMxfp4);
  CudaExecutorOptions options;
  options.limits = {.max_context = 128, .max_sequences = 1, .max_step_tokens = 16};
  const CudaMemoryNeed one = EstimateCudaMemory(model.config, model.weights, options);
  options.limits.max_sequences = 4;
  options.limits.kv_tokens = 512;
  const CudaMemoryNeed four = EstimateCudaMemory(model.config, model.weights, options);
  EXPECT_EQ(one.expert_bytes, four.expert_bytes);
  EXPECT_GT(four.kv_bytes, one.kv_bytes);
  EXPECT_GT(four.activation_bytes, one.activation_bytes);
  EXPECT_GT(one.decode_expert_bytes, 0);
  EXPECT_LT(one.decode_expert_bytes, one.expert_bytes);
}

}  // namespace
}  // namespace oxidized
