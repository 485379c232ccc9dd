// The stored form of the weights does not show: equal values give equal bits.
#include <gtest/gtest.h>

#include <utility>

#include "executor/cpu/cpu_executor.h"
#include "executor/cpu/cpu_products.h"
#include "executor/cpu/test_model.h"
#include "executor/reference/reference_executor.h"
#include "kernels/cpu/tier_test_param.h"
#include "model/arrange.h"

namespace oxidized {
namespace {

using test::TestBatcher;
using test::TestModel;
using test::TestSequence;

ModelConfig SmallShape() {
  ModelConfig c;
  c.num_layers = 2;
  c.hidden_size = 96;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.head_dim = 16;
  c.experts_per_token = 2;
  c.expert_width = 64;
  c.vocab_size = 61;
  c.max_context = 128;
  c.layers = AlternatingLayers(2, 12, 6);
  return c;
}

// Logits of every position of two sequences: prefill that fills wide tiles, then single rows.
std::vector<std::map<int64_t, std::vector<float>>> Logits(Executor& executor) {
  std::vector<TestSequence> sequences(2);
  for (int32_t i = 0; i < 40; ++i) {
    sequences[0].tokens.push_back(i * 7 % 61);
    sequences[1].tokens.push_back(i * i % 61);
  }
  TestBatcher batcher(executor, sequences);
  batcher.Step({30, 25});
  batcher.Step({1, 1});
  batcher.Step({1, 0});
  return {sequences[0].logits, sequences[1].logits};
}

constexpr ExecutorLimits kLimits{
    .max_context = 64, .max_sequences = 2, .max_step_tokens = 64, .kv_tokens = 256};

class StoredFormsTest : public ::testing::TestWithParam<CpuTier> {
 protected:
  void SetUp() override {
    if (!GetParam().available) GTEST_SKIP() << "this machine has no " << GetParam().kernels->name;
  }
  auto LogitsOf(const TestModel& model, Precision precision) {
    const auto executor = MakeCpuExecutor(
        model.config, model.weights,
        {.limits = kLimits, .precision = precision, .threads = 2, .kernels = GetParam().kernels});
    return Logits(*executor);
  }
};
INSTANTIATE_TEST_SUITE_P(Tiers, StoredFormsTest, ::testing::ValuesIn(CpuTiers()), TierName);

struct Form {
  const char* name;
  ExpertLayout layout;
  bool apart;
  DType type;
};
constexpr Form kForms[] = {
    {"ggml", ExpertLayout::kGgmlMxfp4, false, DType::kF32},
    {"ggml apart", ExpertLayout::kGgmlMxfp4, true, DType::kF32},
    {"ollama", ExpertLayout::kOllamaMxfp4, false, DType::kF32},
    {"ollama apart", ExpertLayout::kOllamaMxfp4, true, DType::kF32},
    {"f32 rows", ExpertLayout::kRows, false, DType::kF32},
    {"bf16 rows apart", ExpertLayout::kRows, true, DType::kBF16},
    {"f16 rows", ExpertLayout::kRows, false, DType::kF16},
};

TEST_P(StoredFormsTest, ExpertsGiveTheSameBitsInEveryForm) {
  const TestModel published(SmallShape(), DType::kBF16, ExpertLayout::kMxfp4);
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kF16}) {
    const auto expected = LogitsOf(published, precision);
    const XFormat format = ChooseXFormat(Rounding::kBf16, *GetParam().kernels, published.weights);
    for (const Form& form : kForms) {
      // Rows have no product in bf16 of their own: there f32 arithmetic sums in another order.
      if (form.layout == ExpertLayout::kRows && precision == Precision::kBf16 && format.type == XType::kBf16)
        continue;
      TestModel model(SmallShape(), DType::kBF16, ExpertLayout::kMxfp4);
      model.StoreExperts(form.layout, form.apart, form.type);
      EXPECT_EQ(LogitsOf(model, precision), expected) << form.name << ' ' << Name(precision);
    }
  }
}

TEST_P(StoredFormsTest, Int8GivesTheSameBitsInEveryFormOfMxfp4) {
  const auto logits = [&](const TestModel& model) {
    const auto executor = MakeCpuExecutor(model.config, model.weights,
                                          {.limits = kLimits,
                                           .activations = ActivationType::kInt8,
                                           .threads = 2,
                                           .kernels = GetParam().kernels});
    return Logits(*executor);
  };
  const TestModel published(SmallShape(), DType::kBF16, ExpertLayout::kMxfp4);
  const auto expected = logits(published);
  EXPECT_NE(expected, LogitsOf(published, Precision::kBf16)) << "nothing was rounded to 8 bits";
  for (const Form& form : kForms) {
    if (form.layout == ExpertLayout::kRows) continue;
    TestModel model(SmallShape(), DType::kBF16, ExpertLayout::kMxfp4);
    model.StoreExperts(form.layout, form.apart, form.type);
    EXPECT_EQ(logits(model), expected) << form.name;
  }
}

// The rows of everything that may be rearranged.
std::vector<std::vector<float>> RowsOf(const WeightsView& weights) {
  std::vector<std::vector<float>> rows;
  const auto add = [&](const auto& matrix) {
    for (int64_t r = 0; r < matrix.rows; ++r) {
      rows.emplace_back(static_cast<size_t>(matrix.cols));
      matrix.DecodeRow(r, rows.back().data());
    }
  };
  add(weights.unembedding);
  for (const LayerWeights& layer : weights.layers) {
    for (const MatrixView* m : {&layer.q, &layer.k, &layer.v, &layer.o}) add(*m);
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& e : *experts) add(e);
    }
  }
  return rows;
}

struct StoredModel {
  const char* name;
  DType dense;
  ExpertLayout layout;
  bool apart;
};
constexpr StoredModel kArrangeable[] = {
    {"published", DType::kBF16, ExpertLayout::kMxfp4, false},
    {"ggml", DType::kQ8_0, ExpertLayout::kGgmlMxfp4, false},
    {"ggml apart", DType::kQ8_0, ExpertLayout::kGgmlMxfp4, true},
    {"ollama apart", DType::kQ8_0, ExpertLayout::kOllamaMxfp4, true},
};
TestModel Make(const StoredModel& form, ModelConfig shape = SmallShape()) {
  TestModel model(std::move(shape), form.dense, form.layout);
  if (form.layout != ExpertLayout::kMxfp4 && !form.apart) {
    TestModel published(model.config, form.dense, ExpertLayout::kMxfp4);
    published.StoreExperts(form.layout, false);
    return published;
  }
  return model;
}

TEST_P(StoredFormsTest, ArrangedWeightsGiveTheSameBits) {
  for (const auto activations : {ActivationType::kAsPrecision, ActivationType::kInt8}) {
    const CpuExecutorOptions options{
        .limits = kLimits, .activations = activations, .threads = 2, .kernels = GetParam().kernels};
    const bool int8 = activations == ActivationType::kInt8;
    for (const StoredModel& form : kArrangeable) {
      TestModel model = Make(form);
      const auto logits = [&] { return Logits(*MakeCpuExecutor(model.config, model.weights, options)); };
      const auto expected = logits();
      const auto rows = RowsOf(model.weights);
      const Arrangements best = BestArrangements(model.weights, options);
      EXPECT_EQ(best.interleave_dense, int8 && form.dense == DType::kQ8_0);
      const bool grouped = !int8 && GetParam().kernels->grouped_mxfp4;
      EXPECT_EQ(best.experts.has_value(), int8 || grouped);
      EXPECT_STREQ(best.name(), int8 ? "interleaved" : grouped ? "grouped" : "stored");
      ThreadTeam team(2);
      int64_t last = 0, total = 0;
      const int64_t arranged = ArrangeWeights(best, model.weights, team,
                                              [&](int64_t done, int64_t all) { last = done, total = all; });
      if (!best.experts) {
        EXPECT_EQ(arranged, 0);
        continue;
      }
      EXPECT_GT(last, 0) << form.name;
      EXPECT_EQ(arranged, total) << form.name;
      const ExpertLayout layout = int8 ? ExpertLayout::kInterleavedMxfp4 : ExpertLayout::kGroupedMxfp4;
      const LayerWeights& layer = model.weights.layers.back();
      EXPECT_EQ(layer.gate_up.back().layout, layout) << form.name;
      EXPECT_EQ(layer.down.front().layout, layout) << form.name;
      EXPECT_EQ(layer.q.interleaved, int8 && form.dense == DType::kQ8_0) << form.name;
      EXPECT_FALSE(model.weights.unembedding.interleaved) << "61 rows";
      EXPECT_EQ(RowsOf(model.weights), rows) << form.name;
      EXPECT_EQ(logits(), expected) << form.name;
    }
  }
}

// Experts that are not all MXFP4 are multiplied in f32, whatever dense matrices take.
TEST_P(StoredFormsTest, MixedExpertsStayAsStored) {
  TestModel model(SmallShape(), DType::kQ8_0, ExpertLayout::kGgmlMxfp4);
  TestModel rows(SmallShape(), DType::kQ8_0, ExpertLayout::kMxfp4);
  rows.StoreExperts(ExpertLayout::kRows, false, DType::kF32);
  model.weights.layers[0].down = rows.weights.layers[0].down;
  const CpuExecutorOptions options{
      .limits = kLimits, .activations = ActivationType::kInt8, .threads = 2, .kernels = GetParam().kernels};
  const auto expected = Logits(*MakeCpuExecutor(model.config, model.weights, options));
  ThreadTeam team(2);
  EXPECT_GT(ArrangeWeights(BestArrangements(model.weights, options), model.weights, team), 0);
  EXPECT_TRUE(model.weights.layers[0].q.interleaved);
  EXPECT_EQ(model.weights.layers[0].gate_up[0].layout, ExpertLayout::kGgmlMxfp4);
  EXPECT_EQ(Logits(*MakeCpuExecutor(model.config, model.weights, options)), expected);
}

TEST(StoredForms, WhatCannotBeArrangedStays) {
  TestModel model(SmallShape(), DType::kQ8_0, ExpertLayout::kGgmlMxfp4);
  WeightsView& weights = model.weights;
  weights.unembedding = weights.embedding;  // tied
  ExpertView& special = weights.layers[0].gate_up[1];
  const_cast<std::byte*>(special.up_values)[17 * 5] =
      std::byte{1};  // a scale whose half is not a normal number
  weights.layers[1].k.rows = 31;
  ThreadTeam team(2);
  constexpr Arrangements kBoth{true, ExpertLayout::kInterleavedMxfp4};
  ArrangeWeights(kBoth, weights, team);
  EXPECT_FALSE(weights.unembedding.interleaved);
  EXPECT_EQ(special.layout, ExpertLayout::kGgmlMxfp4);
  EXPECT_EQ(weights.layers[0].gate_up[2].layout, ExpertLayout::kInterleavedMxfp4);
  EXPECT_FALSE(weights.layers[1].k.interleaved);
  EXPECT_TRUE(weights.layers[1].v.interleaved);
  EXPECT_EQ(ArrangeWeights(kBoth, weights, team), 0) << "twice";
  EXPECT_EQ(ArrangeWeights({.experts = ExpertLayout::kGroupedMxfp4}, weights, team), 0)
      << "the special one stays";
  TestModel experts_elsewhere(SmallShape(), DType::kQ8_0, ExpertLayout::kGgmlMxfp4);
  ArrangeWeights({.interleave_dense = true}, experts_elsewhere.weights, team);
  EXPECT_TRUE(experts_elsewhere.weights.layers[0].q.interleaved);
  EXPECT_EQ(experts_elsewhere.weights.layers[0].down[0].layout, ExpertLayout::kGgmlMxfp4);
}

TEST(StoredForms, ReferenceReadsEveryFormAlike) {
  const TestModel published(SmallShape(), DType::kBF16, ExpertLayout::kMxfp4);
  const auto expected = Logits(*MakeReferenceExecutor(published.config, published.weights, kLimits));
  for (const Form& form : kForms) {
    TestModel model(SmallShape(), DType::kBF16, ExpertLayout::kMxfp4);
    model.StoreExperts(form.layout, form.apart, form.type);
    EXPECT_EQ(Logits(*MakeReferenceExecutor(model.config, model.weights, kLimits)), expected) << form.name;
  }
}

TEST_P(StoredFormsTest, PackedDenseWeightsGiveTheSameBits) {
  const TestModel model(SmallShape(), DType::kBF16, ExpertLayout::kMxfp4);
  ThreadTeam team(2);
  const auto packed = std::make_shared<const PackedDense>(model.weights, team, PackedDense::Progress());
  ASSERT_NE(packed->Find(model.weights.layers[0].q), nullptr);
  ASSERT_NE(packed->Find(model.weights.unembedding), nullptr);
  EXPECT_EQ(packed->Find(model.weights.embedding), nullptr);
  EXPECT_LT(packed->packed_bytes(), packed->stored_bytes() * 9 / 10);
  int64_t unread = 0;
  for (const auto& values : UnreadBesidePacked(model.weights, *packed)) unread += std::ssize(values);
  EXPECT_EQ(unread, packed->stored_bytes());
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    const auto expected = LogitsOf(model, precision);
    const auto executor = MakeCpuExecutor(model.config, model.weights,
                                          {.limits = kLimits,
                                           .precision = precision,
                                           .threads = 2,
                                           .kernels = GetParam().kernels,
                                           .packed = packed});
    EXPECT_EQ(Logits(*executor), expected) << Name(precision);
  }
}

// Dense matrices of Q8_0 against the same values in f32: all of it in f32 arithmetic is the same arithmetic.
TEST_P(StoredFormsTest, Q8DenseGivesTheBitsOfItsValues) {
  TestModel q8(SmallShape(), DType::kQ8_0, ExpertLayout::kGgmlMxfp4);
  const auto widened = [&](MatrixView& m) {
    const int64_t size = m.rows * m.cols * 4;
    q8.storage.emplace_back(static_cast<size_t>(size));
    auto* out = reinterpret_cast<float*>(q8.storage.back().data());
    for (int64_t r = 0; r < m.rows; ++r) m.DecodeRow(r, out + r * m.cols);
    m = {q8.storage.back().data(), DType::kF32, m.rows, m.cols};
  };
  const auto q8_f32 = LogitsOf(q8, Precision::kF32), q8_f16 = LogitsOf(q8, Precision::kF16);
  const bool native = ChooseXFormat(Rounding::kBf16, *GetParam().kernels, q8.weights).type == XType::kBf16;
  EXPECT_EQ(native, GetParam().kernels->native_bf16)
      << "Q8_0 and MXFP4 are multiplied in bf16 where that is possible";
  widened(q8.weights.embedding);
  widened(q8.weights.unembedding);
  for (LayerWeights& layer : q8.weights.layers) {
    for (MatrixView* m : {&layer.q, &layer.k, &layer.v, &layer.o}) widened(*m);
  }
  EXPECT_EQ(LogitsOf(q8, Precision::kF32), q8_f32);
  EXPECT_EQ(LogitsOf(q8, Precision::kF16), q8_f16);
}

}  // namespace
}  // namespace oxidized
