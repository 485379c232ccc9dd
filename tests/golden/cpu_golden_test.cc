// The CPU executor against the same goldens, on every tier that this machine has. In f32 it is held to every
// tap like the reference. In bf16 and f16 it is held to the distance that transformers' own bfloat16 run of
// the same checkpoint keeps from float32; rows where 16 bits turned a near-tie of the router into another
// expert are counted and reported.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/checkpoint.h"
#include "executor/cpu/cpu_executor.h"
#include "executor/reference/reference_executor.h"
#include "executor/taps.h"
#include "golden/models.h"
#include "tokenizer/tokenizer.h"

namespace oxidized::test {
namespace {

constexpr double kNearTie = 0.02;       // of the range of a row's router logits; bf16 resolves 0.004 to 0.008
constexpr double kSixteenBitKl = 1e-3;  // nats a token, over rows that kept their experts

struct Case {
  const GoldenModel* golden;
  std::string layout;
  const CpuKernels* kernels;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.golden->name << '/' << c.layout << '/' << c.kernels->name;
}

// Every tier on every model; the long prompt on the best tier alone, as it takes seconds on the slow ones.
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const CpuTier& tier : CpuTiers()) {
    if (!tier.available) continue;
    for (const GoldenModel& golden : Models()) {
      if (golden.prompt.size() > 1000 && tier.kernels != &SelectCpuKernels("")) continue;
      for (const std::string& layout : golden.checkpoints) cases.push_back({&golden, layout, tier.kernels});
    }
  }
  return cases;
}

ExecutorLimits Limits(const GoldenModel& golden) {
  ExecutorLimits limits;
  limits.max_context = static_cast<int64_t>(golden.prompt.size()) + kContinuation;
  limits.max_step_tokens = static_cast<int32_t>(golden.prompt.size());
  return limits;
}

SingleSequenceResult RunCpu(const Case& c, Precision precision, int32_t continuation) {
  const Checkpoint checkpoint = OpenCheckpoint(c.golden->folder / c.layout);
  const auto executor = MakeCpuExecutor(
      checkpoint.config, checkpoint.weights,
      {.limits = Limits(*c.golden), .precision = precision, .threads = 2, .kernels = c.kernels});
  return RunSingleSequence(*executor, c.golden->prompt,
                           {.continuation = continuation, .keep_from = c.golden->keep_from()});
}

// What became of one row's routing: the first layer where the set of chosen experts differs, if any, and how
// far the reference was from a tie there: the gap between its K-th and next logit, as a share of the row's
// range.
struct RoutingChange {
  bool changed = false;
  double margin = 0.0;
};

RoutingChange CompareRouting(const ModelConfig& config, const SingleSequenceResult& reference,
                             const SingleSequenceResult& run, int64_t row) {
  const auto k = static_cast<size_t>(config.experts_per_token);
  const auto ranked = [&](const SingleSequenceResult& of, int32_t layer) {
    const Matrix& logits = of.taps.at({std::string(tap::kRouterLogits), layer});
    const float* values = logits.values.data() + row * logits.cols;
    std::vector<std::pair<float, int32_t>> order;
    for (int32_t e = 0; e < config.layer(layer).num_experts; ++e) order.emplace_back(-values[e], e);
    std::sort(order.begin(), order.end());
    return order;
  };
  const auto chosen = [&](const std::vector<std::pair<float, int32_t>>& order) {
    std::set<int32_t> experts;
    for (size_t i = 0; i < k; ++i) experts.insert(order[i].second);
    return experts;
  };
  for (int32_t layer = 0; layer < config.num_layers; ++layer) {
    const auto expected = ranked(reference, layer);
    if (chosen(expected) == chosen(ranked(run, layer))) continue;
    const double range = expected.back().first - expected.front().first;
    return {true, (expected[k].first - expected[k - 1].first) / range};
  }
  return {};
}

const SingleSequenceResult& ReferenceRun(const GoldenModel& golden) {
  static std::map<std::string, SingleSequenceResult> runs;
  auto& run = runs[golden.name];
  if (run.logits.rows == 0) {
    const Checkpoint checkpoint = OpenCheckpoint(golden.folder / golden.checkpoints.front());
    const auto executor = MakeReferenceExecutor(checkpoint.config, checkpoint.weights, Limits(golden));
    run = RunSingleSequence(*executor, golden.prompt, {.keep_from = golden.keep_from()});
  }
  return run;
}

class CpuGolden : public ::testing::TestWithParam<Case> {};

TEST_P(CpuGolden, F32AgreesWithEveryTap) {
  const SingleSequenceResult run = RunCpu(GetParam(), Precision::kF32, kContinuation);
  ExpectTapsAndLogits(*GetParam().golden, run, kTolerance);
  EXPECT_EQ(run.continuation, GetParam().golden->continuation);
}

struct Rows {
  Matrix expected, actual;

  void Add(const Matrix& e, const Matrix& a, int64_t row) {
    for (auto [into, from] : {std::pair{&expected, &e}, std::pair{&actual, &a}}) {
      const auto begin = from->values.begin() + row * from->cols;
      into->values.insert(into->values.end(), begin, begin + from->cols);
      into->cols = from->cols;
      ++into->rows;
    }
  }
};

TEST_P(CpuGolden, SixteenBitsStayWithinTheOriginalsOwnRounding) {
  const GoldenModel& golden = *GetParam().golden;
  const ModelConfig config = OpenCheckpoint(golden.folder / GetParam().layout).config;
  const SingleSequenceResult& reference = ReferenceRun(golden);
  const Matrix expected = golden.ReadLogits();
  for (const Precision precision : {Precision::kBf16, Precision::kF16}) {
    const SingleSequenceResult run = RunCpu(GetParam(), precision, 0);
    const Matrix actual = GoldenLogitRows(golden, run.logits);
    const int64_t skipped =
        run.logits.rows - expected.rows;  // taps begin at keep_from(), logits may begin later
    Rows kept;
    int64_t changed = 0;
    for (int64_t r = 0; r < expected.rows; ++r) {
      const RoutingChange change = CompareRouting(config, reference, run, r + skipped);
      if (change.changed) {
        ++changed;
        EXPECT_LT(change.margin, kNearTie)
            << Name(precision) << " row " << r << ": another expert without a near-tie";
      } else {
        kept.Add(expected, actual, r);
      }
    }
    const double kl = MeanKl(expected, actual), kept_kl = MeanKl(kept.expected, kept.actual);
    std::cout << golden.name << ' ' << GetParam().kernels->name << ' ' << Name(precision) << ": mean KL "
              << kl << " nats (transformers bf16 " << golden.transformers_bf16_mean_kl << "), " << changed
              << " of " << expected.rows << " rows with another expert, " << kept_kl << " over the others\n";
    EXPECT_LE(kept_kl, golden.transformers_bf16_mean_kl) << Name(precision);
    EXPECT_LT(kept_kl, kSixteenBitKl) << Name(precision);
  }
}

INSTANTIATE_TEST_SUITE_P(Tiers, CpuGolden, ::testing::ValuesIn(Cases()), [](const auto& param_info) {
  std::string name =
      param_info.param.golden->name + "_" + param_info.param.layout + "_" + param_info.param.kernels->name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// All rows of all models, those with changed experts included: one changed expert costs so much that single
// models compare luck.
TEST(CpuGoldenTotal, SixteenBitsAreNoWorseThanTransformersBf16) {
  for (const Precision precision : {Precision::kBf16, Precision::kF16}) {
    double ours = 0.0, theirs = 0.0;
    for (const GoldenModel& golden : Models()) {
      const Case best{&golden, golden.checkpoints.front(), &SelectCpuKernels("")};
      const Matrix expected = golden.ReadLogits();
      const double rows = static_cast<double>(expected.rows);
      ours += rows * MeanKl(expected, GoldenLogitRows(golden, RunCpu(best, precision, 0).logits));
      theirs += rows * golden.transformers_bf16_mean_kl;
    }
    std::cout << "all models, " << Name(precision) << ": KL " << ours << " nats, transformers bf16 " << theirs
              << '\n';
    EXPECT_LE(ours, theirs) << Name(precision);
  }
}

// 8-bit activations are lossy: what they cost is printed and may not grow beyond the bounds below. Rows whose
// experts changed are in it, as they are for whoever uses it.
struct Loss {
  double kl = 0.0;  // nats a token
  int64_t same_top = 0, rows = 0;
};

Loss LossOf(const Matrix& expected, const Matrix& actual) {
  Loss loss{MeanKl(expected, actual), 0, expected.rows};
  for (int64_t r = 0; r < expected.rows; ++r) {
    const auto top = [r](const Matrix& m) {
      const auto begin = m.values.begin() + r * m.cols;
      return std::max_element(begin, begin + m.cols) - begin;
    };
    if (top(expected) == top(actual)) ++loss.same_top;
  }
  return loss;
}

struct Lossy {
  const char* name;
  Precision precision;
  ActivationType activations;
  double most_kl, least_top;
};
constexpr Lossy kLossy[] = {{"bf16", Precision::kBf16, ActivationType::kAsPrecision, 0.02, 0.9},
                            {"int8", Precision::kBf16, ActivationType::kInt8, 0.02, 0.92}};

SingleSequenceResult RunLossy(const Checkpoint& checkpoint, const std::vector<int32_t>& tokens,
                              int64_t keep_from, Precision precision, ActivationType activations) {
  ExecutorLimits limits;
  limits.max_context = static_cast<int64_t>(tokens.size());
  limits.max_step_tokens = static_cast<int32_t>(tokens.size());
  const auto executor =
      MakeCpuExecutor(checkpoint.config, checkpoint.weights,
                      {.limits = limits, .precision = precision, .activations = activations, .threads = 2});
  return RunSingleSequence(*executor, tokens, {.keep_from = keep_from});
}

TEST(Int8Golden, DistanceToF32OnTheGoldenModels) {
  for (const Lossy& lossy : kLossy) {
    double kl = 0.0;
    int64_t same = 0, rows = 0;
    for (const GoldenModel& golden : Models()) {
      if (golden.prompt.size() > 1000 || golden.checkpoints.front() != "mxfp4") continue;
      const Checkpoint checkpoint = OpenCheckpoint(golden.folder / golden.checkpoints.front());
      const SingleSequenceResult run =
          RunLossy(checkpoint, golden.prompt, golden.keep_from(), lossy.precision, lossy.activations);
      const Loss loss = LossOf(golden.ReadLogits(), GoldenLogitRows(golden, run.logits));
      std::cout << golden.name << ' ' << lossy.name << ": mean KL " << loss.kl << " nats, top-1 agreement in "
                << loss.same_top << " of " << loss.rows << " rows\n";
      kl += loss.kl * static_cast<double>(loss.rows);
      same += loss.same_top;
      rows += loss.rows;
    }
    std::cout << "all models, " << lossy.name << ": mean KL " << kl / static_cast<double>(rows)
              << " nats, top-1 agreement in " << same << " of " << rows << " rows\n";
    EXPECT_LT(kl / static_cast<double>(rows), lossy.most_kl) << lossy.name;
    EXPECT_GT(static_cast<double>(same), lossy.least_top * static_cast<double>(rows)) << lossy.name;
  }
}

// A trained model, over the replies of its golden conversations.
TEST(Int8Golden, DistanceToF32OnTheDemosReplies) {
#ifdef OXIDIZED_EMULATED
  GTEST_SKIP() << "measures a distance over thousands of tokens, by code that the other tests run, too";
#endif
  const Checkpoint checkpoint = OpenCheckpoint(DEMO_MODEL);
  const auto tokenizer = Tokenizer::Load(std::filesystem::path(DEMO_MODEL) / "tokenizer.json");
  std::ifstream file(DEMO_CONVERSATIONS);
  const nlohmann::json conversations = nlohmann::json::parse(file)["prompts"];
  ASSERT_GT(conversations.size(), 10u);
  Matrix expected, actual[std::size(kLossy)];
  const auto append = [](Matrix& into, const Matrix& rows) {
    into.values.insert(into.values.end(), rows.values.begin(), rows.values.end());
    into.cols = rows.cols;
    into.rows += rows.rows;
  };
  for (const nlohmann::json& conversation : conversations) {
    std::vector<int32_t> tokens = tokenizer->EncodeWithSpecials(conversation["prompt"].get<std::string>());
    const auto reply = static_cast<int64_t>(tokens.size()) - 1;
    for (const int32_t token : conversation["tokens"].get<std::vector<int32_t>>()) tokens.push_back(token);
    append(expected,
           RunLossy(checkpoint, tokens, reply, Precision::kF32, ActivationType::kAsPrecision).logits);
    for (size_t i = 0; i < std::size(kLossy); ++i) {
      append(actual[i],
             RunLossy(checkpoint, tokens, reply, kLossy[i].precision, kLossy[i].activations).logits);
    }
  }
  for (size_t i = 0; i < std::size(kLossy); ++i) {
    const Loss loss = LossOf(expected, actual[i]);
    std::cout << "demo " << kLossy[i].name << ": mean KL " << loss.kl << " nats, top-1 agreement in "
              << loss.same_top << " of " << loss.rows << " rows\n";
    EXPECT_LT(loss.kl, kLossy[i].most_kl) << kLossy[i].name;
    EXPECT_GT(static_cast<double>(loss.same_top), kLossy[i].least_top * static_cast<double>(loss.rows));
  }
}

}  // namespace
}  // namespace oxidized::test
