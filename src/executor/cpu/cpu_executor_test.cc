#include "executor/cpu/cpu_executor.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <mutex>

#include "executor/cpu/step_counters.h"
#include "executor/cpu/test_model.h"
#include "executor/reference/reference_executor.h"
#include "executor/taps.h"
#include "kernels/cpu/tier_test_param.h"

namespace oxidized {
namespace {

using test::TestBatcher;
using test::TestModel;
using test::TestSequence;

ModelConfig Shape(int32_t m, int32_t h, int32_t g, int32_t d, int32_t e, int32_t k, int32_t f, int32_t v,
                  int32_t window) {
  ModelConfig c;
  c.num_layers = 3;
  c.hidden_size = m;
  c.num_heads = h;
  c.num_kv_heads = g;
  c.head_dim = d;
  c.num_experts = e;
  c.experts_per_token = k;
  c.expert_width = f;
  c.vocab_size = v;
  c.sliding_window = window;
  c.max_context = 1024;
  c.layers = {LayerKind::kSliding, LayerKind::kFull, LayerKind::kSliding};
  return c;
}

struct Shaped {
  const char* name;
  std::unique_ptr<TestModel> model;
};
const std::vector<Shaped>& Models() {
  static const std::vector<Shaped> models = [] {
    std::vector<Shaped> all;
    const auto add = [&](const char* name, ModelConfig c, DType dense, ExpertLayout layout) {
      all.push_back({name, std::make_unique<TestModel>(std::move(c), dense, layout)});
    };
    add("published form", Shape(64, 8, 2, 16, 8, 2, 96, 97, 40), DType::kBF16, ExpertLayout::kMxfp4);
    add("odd sizes", Shape(96, 9, 3, 10, 5, 3, 32, 131, 9), DType::kBF16, ExpertLayout::kMxfp4);
    add("transposed", Shape(64, 4, 4, 24, 4, 4, 64, 67, 33), DType::kBF16, ExpertLayout::kTransposed);
    add("f32 dense", Shape(64, 4, 1, 64, 6, 2, 64, 64, 64), DType::kF32, ExpertLayout::kMxfp4);
    add("f16 dense", Shape(32, 2, 1, 32, 6, 1, 32, 64, 128), DType::kF16, ExpertLayout::kTransposed);
    add("Q8_0 and ggml's MXFP4", Shape(64, 8, 2, 16, 8, 2, 96, 97, 40), DType::kQ8_0,
        ExpertLayout::kGgmlMxfp4);
    add("Q8_0 experts", Shape(64, 4, 2, 16, 5, 2, 64, 67, 33), DType::kQ8_0, ExpertLayout::kRows);
    return all;
  }();
  return models;
}

const ExecutorLimits kLimits{
    .max_context = 256, .max_sequences = 4, .max_step_tokens = 160, .kv_tokens = 1024};

std::vector<int32_t> Prompt(uint64_t seed, int64_t n, int32_t vocab) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) {
    tokens.push_back(static_cast<int32_t>(RandomBits(seed, 3, static_cast<uint64_t>(i))[0] %
                                          static_cast<uint32_t>(vocab)));
  }
  return tokens;
}

std::vector<TestSequence> ThreeSequences(int32_t vocab) {
  std::vector<TestSequence> s(3);
  s[0].tokens = Prompt(1, 150, vocab);
  s[1].tokens = Prompt(2, 70, vocab);
  s[2].tokens = Prompt(3, 9, vocab);
  return s;
}

class CollectTaps final : public TapSink {
 public:
  struct Values {
    int64_t cols;
    std::vector<float> rows;
  };
  std::map<std::pair<int32_t, std::string>, Values> taps;
  void Tap(std::string_view name, int32_t layer, std::span<const float> values, int64_t cols) override {
    Values& v = taps[{layer, std::string(name)}];
    v.cols = cols;
    v.rows.insert(v.rows.end(), values.begin(), values.end());
  }
};

// Max |a - b| over the range of b; infinite for a NaN or another size.
double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size() || a.empty()) return INFINITY;
  const auto [low, high] = std::minmax_element(b.begin(), b.end());
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(error <= 1e30)) return INFINITY;
    worst = std::max(worst, error);
  }
  EXPECT_GT(*high, *low) << "a constant expectation shows nothing";
  return worst / static_cast<double>(*high - *low);
}

// A prefill chunk, a mix of chunks and decode rows, then the rest.
void FeedRagged(TestBatcher& batcher, TapSink* taps = nullptr) {
  batcher.Step({64, 33, 0}, {}, taps);
  batcher.Step({1, 30, 5}, {}, taps);
  batcher.Step({40, 1, 1}, {}, taps);
  batcher.Step({45, 6, 3}, {}, taps);
}

// What an executor rounds.
struct Arithmetic {
  CpuPrecision precision = CpuPrecision::kBf16;
  CpuActivationType activations = CpuActivationType::kAsPrecision;
  std::string name() const {
    return std::string(Name(precision)) + (activations == CpuActivationType::kInt8 ? ", int8" : "");
  }
};
constexpr Arithmetic kInt8{CpuPrecision::kBf16, CpuActivationType::kInt8};
constexpr Arithmetic kF32Int8{CpuPrecision::kF32, CpuActivationType::kInt8};

bool HasInt8Products(const TestModel& model) {
  return model.weights.unembedding.dtype == DType::kQ8_0 ||
         model.weights.layers[0].gate_up[0].scales != nullptr;
}

class CpuExecutorTest : public ::testing::TestWithParam<CpuTier> {
 protected:
  void SetUp() override {
    if (!GetParam().available) GTEST_SKIP() << "this machine has no " << GetParam().kernels->name;
  }
  std::unique_ptr<Executor> Make(const TestModel& model, CpuPrecision precision, int threads = 1,
                                 ExecutorLimits limits = kLimits) {
    return Make(model, Arithmetic{precision}, threads, limits);
  }
  std::unique_ptr<Executor> Make(const TestModel& model, const Arithmetic& arithmetic, int threads = 1,
                                 ExecutorLimits limits = kLimits) {
    return MakeCpuExecutor(model.config, model.weights,
                           {.limits = limits,
                            .precision = arithmetic.precision,
                            .activations = arithmetic.activations,
                            .threads = threads,
                            .kernels = GetParam().kernels});
  }
};
INSTANTIATE_TEST_SUITE_P(Tiers, CpuExecutorTest, ::testing::ValuesIn(CpuTiers()), TierName);

TEST_P(CpuExecutorTest, F32TapsAndLogitsAgreeWithTheReferenceOnRaggedSteps) {
  for (const Shaped& shaped : Models()) {
    const TestModel& model = *shaped.model;
    const auto reference = MakeReferenceExecutor(model.config, model.weights, kLimits);
    const auto cpu = Make(model, CpuPrecision::kF32);
    auto expected = ThreeSequences(model.config.vocab_size), actual = expected;
    CollectTaps expected_taps, actual_taps;
    TestBatcher expected_batcher(*reference, expected), actual_batcher(*cpu, actual);
    FeedRagged(expected_batcher, &expected_taps);
    FeedRagged(actual_batcher, &actual_taps);
    ASSERT_EQ(actual_taps.taps.size(), expected_taps.taps.size());
    for (const auto& [key, values] : expected_taps.taps) {
      EXPECT_LE(RelativeError(actual_taps.taps[key].rows, values.rows), 1e-4)
          << shaped.name << ": " << key.second << " of layer " << key.first;
      EXPECT_EQ(actual_taps.taps[key].cols, values.cols);
    }
    for (size_t s = 0; s < expected.size(); ++s) {
      ASSERT_EQ(actual[s].logits.size(), static_cast<size_t>(expected[s].fed));
      for (const auto& [position, logits] : expected[s].logits) {
        EXPECT_LE(RelativeError(actual[s].logits[position], logits), 1e-4)
            << shaped.name << " at " << position;
      }
      EXPECT_EQ(actual[s].sampled, expected[s].sampled) << shaped.name;
    }
    EXPECT_EQ(actual_batcher.result.routing.experts, expected_batcher.result.routing.experts);
  }
}

double MeanKl(const std::vector<TestSequence>& expected, std::vector<TestSequence>& actual) {
  double total = 0.0;
  int64_t rows = 0;
  const auto log_sum = [](const std::vector<float>& x) {
    double sum = 0.0;
    for (const float v : x) sum += std::exp(static_cast<double>(v));
    return std::log(sum);
  };
  for (size_t s = 0; s < expected.size(); ++s) {
    for (const auto& [position, p] : expected[s].logits) {
      const std::vector<float>& q = actual[s].logits[position];
      const double lp = log_sum(p), lq = log_sum(q);
      for (size_t i = 0; i < p.size(); ++i) {
        const double a = static_cast<double>(p[i]) - lp, b = static_cast<double>(q[i]) - lq;
        total += std::exp(a) * (a - b);
      }
      ++rows;
    }
  }
  return total / static_cast<double>(rows);
}

// Rounding inputs to 16 or 8 bits moves the distribution a little, but must move it: otherwise nothing was
// rounded. The models are tiny and their logits wide, so the bound is looser than that for the real one; a
// changed expert is in it too.
TEST_P(CpuExecutorTest, RoundedInputsStayCloseToF32) {
  for (const Shaped& shaped : Models()) {
    const TestModel& model = *shaped.model;
    auto f32 = ThreeSequences(model.config.vocab_size);
    const auto exact = Make(model, CpuPrecision::kF32);
    TestBatcher exact_batcher(*exact, f32);
    FeedRagged(exact_batcher);
    for (const auto& [arithmetic, bound] : {std::pair{Arithmetic{CpuPrecision::kBf16}, 2e-2},
                                            {Arithmetic{CpuPrecision::kF16}, 2e-3},
                                            {kInt8, 4e-2},
                                            {kF32Int8, 4e-2}}) {
      const bool int8 = arithmetic.activations == CpuActivationType::kInt8;
      if (int8 && !HasInt8Products(model)) {
        EXPECT_THROW(Make(model, arithmetic), Error) << shaped.name;
        continue;
      }
      auto rounded = ThreeSequences(model.config.vocab_size);
      const auto executor = Make(model, arithmetic);
      EXPECT_EQ(executor->Info().activations, int8 ? "int8" : "");
      EXPECT_TRUE(executor->Info().batch_invariant);
      TestBatcher batcher(*executor, rounded);
      FeedRagged(batcher);
      const double kl = MeanKl(f32, rounded);
      EXPECT_LE(kl, bound) << shaped.name << ' ' << arithmetic.name();
      EXPECT_GT(kl, 0.0) << shaped.name << ' ' << arithmetic.name();
    }
  }
}

// The same sequences in every way of feeding them: the logits of each position must not differ in a single
// bit.
TEST_P(CpuExecutorTest, BitsDoNotDependOnChunksBatchMatesOrderOrThreads) {
  for (const Shaped& shaped : Models()) {
    const TestModel& model = *shaped.model;
    for (const Arithmetic& arithmetic : {Arithmetic{CpuPrecision::kF32}, Arithmetic{CpuPrecision::kBf16},
                                         Arithmetic{CpuPrecision::kF16}, kInt8, kF32Int8}) {
      if (arithmetic.activations == CpuActivationType::kInt8 && !HasInt8Products(model)) continue;
      auto expected = ThreeSequences(model.config.vocab_size);
      {  // each alone, in one step
        const auto executor = Make(model, arithmetic, 1);
        TestBatcher batcher(*executor, expected);
        batcher.Step({150, 0, 0});
        batcher.Step({0, 70, 0});
        batcher.Step({0, 0, 9});
      }
      const auto check = [&](const char* how, int threads, const auto& feed) {
        auto actual = ThreeSequences(model.config.vocab_size);
        const auto executor = Make(model, arithmetic, threads);
        TestBatcher batcher(*executor, actual);
        feed(batcher, actual);
        for (size_t s = 0; s < expected.size(); ++s) {
          ASSERT_EQ(actual[s].fed, expected[s].fed);
          EXPECT_EQ(actual[s].logits, expected[s].logits)
              << shaped.name << ' ' << arithmetic.name() << ", " << how;
        }
      };
      check("ragged", 2, [](TestBatcher& b, auto&) { FeedRagged(b); });
      check("other order", 3, [](TestBatcher& b, auto&) {
        b.Step({100, 20, 9}, {2, 0, 1});
        b.Step({50, 50, 0}, {1, 0});
      });
      const auto in_chunks = [](int64_t size) {
        return [size](TestBatcher& b, std::vector<TestSequence>& sequences) {
          for (bool more = true; more;) {
            std::vector<int64_t> rows;
            more = false;
            for (const TestSequence& s : sequences) {
              rows.push_back(std::min(size, static_cast<int64_t>(s.tokens.size()) - s.fed));
              more = more || rows.back() > 0;
            }
            if (more) b.Step(rows);
          }
        };
      };
      check("chunks of 1", 1, in_chunks(1));
      check("chunks of 7", 2, in_chunks(7));
      check("chunks of 50", 1, in_chunks(50));
    }
  }
}

// Routing policies differ between batch mates: the logits of topk must not notice.
TEST_P(CpuExecutorTest, PoliciesOfBatchMatesDoNotMeet) {
  const TestModel& model = *Models()[0].model;
  auto expected = ThreeSequences(model.config.vocab_size), actual = expected;
  actual[1].policy.strategy = FindRoutingStrategy("expert1");
  actual[2].policy.experts_per_token = 4;
  const auto executor = Make(model, CpuPrecision::kBf16);
  TestBatcher expected_batcher(*executor, expected);
  FeedRagged(expected_batcher);
  TestBatcher actual_batcher(*executor, actual);
  FeedRagged(actual_batcher);
  EXPECT_EQ(actual[0].logits, expected[0].logits);
  EXPECT_NE(actual[1].logits, expected[1].logits);
  EXPECT_NE(actual[2].logits, expected[2].logits);
}

TEST_P(CpuExecutorTest, StagesReportTimeBytesAndOperations) {
  const TestModel& model = *Models()[0].model;
  auto sequences = ThreeSequences(model.config.vocab_size);
  const auto executor = Make(model, CpuPrecision::kBf16);
  TestBatcher batcher(*executor, sequences);
  batcher.Step({1, 0, 0});
  double microseconds = 0.0;
  int64_t bytes = 0;
  for (const StageCost& stage : batcher.result.stages) {
    microseconds += stage.microseconds;
    bytes += stage.bytes;
  }
  EXPECT_GT(microseconds, 0.0);
  const ModelConfig& c = model.config;
  const int64_t dense =
      c.vocab_size * c.hidden_size +
      c.num_layers * (2 * c.query_width() + 2 * c.kv_width() + c.num_experts) * c.hidden_size;
  const int64_t expert = 3 * c.expert_width * c.hidden_size;
  const int64_t biases = 2 * (2 * c.expert_width + c.hidden_size);
  EXPECT_EQ(bytes, 2 * dense + c.num_layers * c.experts_per_token * (expert * 17 / 32 + biases) +
                       c.num_layers * 2 * c.kv_width() * 2);
}

// Passes on to an executor and counts what its steps do.
class CountingExecutor final : public Executor {
 public:
  explicit CountingExecutor(Executor& executor) : executor_(executor) {}
  const ExecutorInfo& Info() const override { return executor_.Info(); }
  StepTicket Submit(const StepBatch& batch) override {
    const Counts before;
    const StepTicket ticket = executor_.Submit(batch);
    in_steps.AddSince(before);
    return ticket;
  }
  void Wait(StepTicket ticket, StepResult& result) override {
    const Counts before;
    executor_.Wait(ticket, result);
    in_steps.AddSince(before);
  }
  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override {
    executor_.ResetSlot(slot, reused);
  }
  void CopyBlocks(std::span<const BlockCopy> copies) override { executor_.CopyBlocks(copies); }

  struct Counts {
    int64_t allocations = test::Allocations(), locks = test::Locks(), system_calls = test::SystemCalls();
    void AddSince(const Counts& before) {
      const Counts now;
      allocations += now.allocations - before.allocations;
      locks += now.locks - before.locks;
      system_calls += now.system_calls - before.system_calls;
    }
  };
  Counts in_steps{0, 0, 0};

 private:
  Executor& executor_;
};

TEST_P(CpuExecutorTest, ADecodeStepAllocatesNothing) {
  const TestModel& model = *Models()[0].model;
  for (const Arithmetic& arithmetic : {Arithmetic{CpuPrecision::kBf16}, kInt8}) {
    auto sequences = ThreeSequences(model.config.vocab_size);
    const auto executor = Make(model, arithmetic, 2);
    CountingExecutor counting(*executor);
    TestBatcher batcher(counting, sequences);
    batcher.want_logits = false;  // collecting them allocates
    batcher.Step({40, 30, 1});
    batcher.Step({1, 1, 1});
    batcher.Step({1, 1, 1});  // results swap buffers with the caller's: two steps have warmed both
    EXPECT_GT(counting.in_steps.allocations, 0) << "the counter does not count";
    counting.in_steps = {0, 0, 0};
    for (int i = 0; i < 5; ++i) batcher.Step({1, 1, 1});
    EXPECT_EQ(counting.in_steps.allocations, 0) << arithmetic.name();
  }
}

// In a child, as the trap stays set.
TEST_P(CpuExecutorTest, ADecodeStepLocksNothingAndEntersTheKernelOnlyToParkAndWake) {
  if (!OXIDIZED_COUNTS_LOCKS) GTEST_SKIP() << "a sanitizer locks and calls the kernel itself";
  enum Ending { kFine, kNotTrapped, kBlind, kLocked, kCalled };
  const pid_t child = fork();
  if (child == 0) {
    const TestModel& model = *Models()[0].model;
    auto sequences = ThreeSequences(model.config.vocab_size);
    const auto executor = Make(model, CpuPrecision::kBf16, 2);
    CountingExecutor counting(*executor);
    TestBatcher batcher(counting, sequences);
    batcher.want_logits = false;
    batcher.Step({40, 30, 1});
    for (int i = 0; i < 2; ++i) {
      batcher.Step({1, 1, 1});
      batcher.Step({1, 0, 0});
    }
    mallopt(M_TRIM_THRESHOLD, 64 << 20);  // what the batcher allocates between steps comes without the kernel
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    free(malloc(4 << 20));
    std::mutex mutex;
    const int64_t locks = test::Locks();
    {
      std::lock_guard lock(mutex);
    }
    if (!test::TrapSystemCalls()) _exit(kNotTrapped);
    getppid();
    if (test::Locks() == locks || test::SystemCalls() != 1) _exit(kBlind);
    counting.in_steps = {0, 0, 0};
    for (int i = 0; i < 5; ++i) {
      batcher.Step({1, 1, 1});
      batcher.Step({1, 0, 0});
    }
    if (counting.in_steps.system_calls > 0)
      _exit(kCalled + static_cast<int>(std::min<int64_t>(test::LastSystemCall(), 200)));
    _exit(counting.in_steps.locks > 0 ? kLocked : kFine);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  const int ending = WEXITSTATUS(status);
  if (ending == kNotTrapped) GTEST_SKIP() << "this system allows no seccomp filter";
  ASSERT_NE(ending, kBlind) << "the counters do not count";
  EXPECT_NE(ending, kLocked);
  EXPECT_LT(ending, kCalled) << "system call " << ending - kCalled << " in a step";
}

TEST_P(CpuExecutorTest, CopiedBlocksHoldTheSameKeysAndValues) {
  const TestModel& model = *Models()[0].model;
  auto sequences = ThreeSequences(model.config.vocab_size);
  auto straight = sequences;
  const auto executor = Make(model, CpuPrecision::kBf16);
  {
    TestBatcher batcher(*executor, straight);
    batcher.Step({40, 0, 0});
    batcher.Step({10, 0, 0});
  }
  TestBatcher batcher(*executor, sequences);
  batcher.Step({40, 0, 0});
  for (size_t g = 0; g < sequences[0].tables.size(); ++g) {
    std::vector<BlockCopy> copies;
    int32_t free_block = executor->Info().kv_blocks[g] - 1;
    for (int32_t& block : sequences[0].tables[g].blocks) {
      copies.push_back({static_cast<int32_t>(g), block, free_block});
      block = free_block--;
    }
    executor->CopyBlocks(copies);
  }
  // The pool still counts the old blocks as held; the new ones are beyond what it will hand out here.
  batcher.Step({10, 0, 0});
  EXPECT_EQ(sequences[0].logits, straight[0].logits);
}

// Copies go in the order of their list: a block may be written by one and read by the next, or the other way
// round (a prefix that gave way is the target of another's copy).
TEST_P(CpuExecutorTest, CopiesOfOneListGoInOrder) {
  const TestModel& model = *Models()[0].model;
  const auto reference = MakeReferenceExecutor(model.config, model.weights, kLimits);
  const auto cpu = Make(model, CpuPrecision::kBf16);
  for (Executor* executor : {reference.get(), cpu.get()}) {
    auto sequences = ThreeSequences(model.config.vocab_size);
    auto straight = sequences;
    {
      TestBatcher batcher(*executor, straight);
      batcher.Step({70, 0, 0});
      batcher.Step({10, 0, 0});
    }
    TestBatcher batcher(*executor, sequences);
    batcher.Step({70, 0, 0});
    for (size_t g = 0; g < sequences[0].tables.size(); ++g) {
      auto& blocks = sequences[0].tables[g].blocks;
      ASSERT_GE(blocks.size(), 2u);
      const int32_t spare = executor->Info().kv_blocks[g] - 1, further = spare - 1;
      const auto group = static_cast<int32_t>(g);
      int32_t &a = blocks[blocks.size() - 2], &b = blocks.back();
      // a to a spare one, then b over a, then the spare one on: the two have changed places.
      executor->CopyBlocks(std::vector<BlockCopy>{
          {group, a, spare}, {group, b, a}, {group, spare, further}, {group, further, b}});
      std::swap(a, b);
    }
    batcher.Step({10, 0, 0});
    EXPECT_EQ(sequences[0].logits, straight[0].logits) << executor->Info().name;
  }
}

TEST(CpuPrecision, NamesRoundTrip) {
  for (const CpuPrecision p : {CpuPrecision::kF32, CpuPrecision::kBf16, CpuPrecision::kF16}) {
    EXPECT_EQ(ParseCpuPrecision(Name(p)), p);
  }
  EXPECT_EQ(ParseCpuPrecision("int8"), std::nullopt);
}

}  // namespace
}  // namespace oxidized
