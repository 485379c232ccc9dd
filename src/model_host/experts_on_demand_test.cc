// The whole engine with experts on demand: the same bits as with all of them in memory, at every budget, in
// prefill and decode; and what a read that fails does.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/error.h"
#include "base/memory_registry.h"
#include "devices/cpu/expert_memory.h"
#include "engine/engine.h"
#include "executor/cpu/cpu_executor.h"
#include "experts/memory_test_support.h"
#include "model_host/runtime.h"
#include "moe/cache_simulator.h"
#include "rewrite/synth.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::TempFolder;
namespace fs = std::filesystem;

constexpr int32_t kTopK = 2, kAllExperts = 4 * 8;  // of the preset tiny

const Checkpoint& Tiny() {
  static const TempFolder folder;
  static const Checkpoint checkpoint = [] {
    SynthOptions options;
    options.preset = "tiny";
    options.seed = 4;
    options.out = folder.path() / "model";
    Synthesize(options);
    return OpenCheckpoint(options.out);
  }();
  return checkpoint;
}

class KeepRows final : public LogitsSink {
 public:
  std::map<int64_t, std::vector<float>> rows;
  void Row(int64_t position, std::span<const float> logits) override {
    rows[position].assign(logits.begin(), logits.end());
  }
};

struct Answer {
  std::vector<int32_t> tokens;
  std::optional<RequestError> error;
  std::map<int64_t, std::vector<float>> logits;
};

// Three requests together: prompts cut into chunks beside rows that decode.
std::vector<Answer> Ask(Engine& engine, RoutingObserver* watch = nullptr) {
  std::vector<Answer> answers(3);
  std::vector<KeepRows> sinks(3);
  std::vector<RequestId> ids;
  for (size_t i = 0; i < 3; ++i) {
    Request request;
    for (int32_t t = 0; t < 10 + 45 * static_cast<int32_t>(i); ++t)
      request.prompt.push_back((t * 37 + static_cast<int32_t>(i) * 11 + 5) % 3000);
    request.max_new_tokens = 24;
    request.sampling.seed = i;
    request.sampling.temperature = i == 0 ? 0.0 : 1.0;
    request.logits = &sinks[i];
    if (watch != nullptr) request.routing_observers.push_back(watch);
    ids.push_back(*engine.Submit(std::move(request)));
  }
  while (engine.Step()) {
  }
  for (size_t i = 0; i < 3; ++i) {
    for (Event& event : engine.TakeEvents(ids[i])) {
      if (const auto* token = std::get_if<GeneratedToken>(&event)) answers[i].tokens.push_back(token->token);
      if (auto* end = std::get_if<Finished>(&event)) answers[i].error = end->error;
    }
    answers[i].logits = std::move(sinks[i].rows);
  }
  return answers;
}

std::unique_ptr<Executor> ExecutorOn(ExpertSource* experts, Precision precision) {
  CpuExecutorOptions options;
  options.limits = {.max_context = 256, .max_sequences = 3, .max_step_tokens = 64, .kv_tokens = 768};
  options.precision = precision;
  options.threads = 2;
  options.experts = experts;
  return MakeCpuExecutor(Tiny().config, Tiny().weights, options);
}

const std::vector<Answer>& AllResident(Precision precision) {
  static std::map<Precision, std::vector<Answer>> answers;
  if (!answers.contains(precision)) {
    const auto executor = ExecutorOn(nullptr, precision);
    Engine engine(*executor, {.chunk_tokens = 16});
    answers[precision] = Ask(engine);
  }
  return answers[precision];
}

void ExpectSame(const std::vector<Answer>& answers, const std::vector<Answer>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_FALSE(answers[i].error);
    EXPECT_EQ(answers[i].tokens, expected[i].tokens);
    ASSERT_EQ(answers[i].logits.size(), expected[i].logits.size());
    for (const auto& [position, row] : expected[i].logits) {
      const std::vector<float>& other = answers[i].logits.at(position);
      ASSERT_EQ(std::memcmp(row.data(), other.data(), row.size() * sizeof(float)), 0)
          << "request " << i << ", position " << position;
    }
  }
}

struct Case {
  const char* budget;
  EvictionRule eviction;
  bool prefetch;
  Precision precision;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.budget << ' ' << Name(c.eviction) << (c.prefetch ? " prefetch " : " ") << Name(c.precision);
}

class ExpertsOnDemand : public ::testing::TestWithParam<Case> {};

TEST_P(ExpertsOnDemand, GiveTheBitsOfAllResident) {
  const Case& c = GetParam();
  ExpertMemory memory({ParseExpertBudget(c.budget), c.eviction, c.prefetch}, Tiny());
  const auto executor = ExecutorOn(&memory.source(), c.precision);
  Engine engine(*executor, {.chunk_tokens = 16});
  const std::vector<Answer> answers = Ask(engine);
  ExpectSame(answers, AllResident(c.precision));
  EXPECT_EQ(answers[2].logits.size(), 100u + 24u - 1u);
  if (std::string(c.budget) == "100%") {
    EXPECT_EQ(memory.store(), nullptr);
    return;
  }
  const ExpertCacheCounters counters = memory.store()->counters();
  EXPECT_GT(counters.Total().misses, 0);
  EXPECT_GT(counters.Total().evictions, 0);
  EXPECT_LE(counters.resident_experts, counters.budget_experts);
  EXPECT_EQ(counters.Total().prefetches > 0, c.prefetch);
}
// 6.25 % are the K experts of one token.
INSTANTIATE_TEST_SUITE_P(Budgets, ExpertsOnDemand,
                         ::testing::Values(Case{"6.25%", EvictionRule::kLru, false, Precision::kBf16},
                                           Case{"6.25%", EvictionRule::kFrequency, true, Precision::kF32},
                                           Case{"25%", EvictionRule::kLru, true, Precision::kBf16},
                                           Case{"25%", EvictionRule::kLfuDa, false, Precision::kF16},
                                           Case{"50%", EvictionRule::kFrequency, true, Precision::kBf16},
                                           Case{"50%", EvictionRule::kLru, false, Precision::kF32},
                                           Case{"75%", EvictionRule::kLru, true, Precision::kBf16},
                                           Case{"75%", EvictionRule::kFrequency, false, Precision::kF32},
                                           Case{"100%", EvictionRule::kLru, true, Precision::kBf16}));

// Room for a layer's experts, so that no request comes in portions, whose order is the disk's.
TEST(ExpertMemory, ARunAndTheReplayOfItsTraceCountTheSame) {
  const TempFolder folder;
  const fs::path path = folder.path() / "run.trace";
  for (const EvictionRuleInfo& rule : EvictionRules()) {
    SCOPED_TRACE(rule.name);
    ExpertMemory memory({ParseExpertBudget("25%"), rule.rule, /*prefetch=*/false}, Tiny());
    const ModelConfig& config = Tiny().config;
    TraceWriter writer({path, {.sign = kTraceSign}},
                       {ShapeOf({}, config.num_layers, config.most_experts(), config.experts_per_token),
                        false, memory.store()->slot_bytes()});
    const auto executor = ExecutorOn(&memory.source(), Precision::kBf16);
    Engine engine(*executor, {.chunk_tokens = 16});
    Ask(engine, &writer);
    writer.Close();
    const ExpertCacheCounters run = memory.store()->counters();
    const ExpertCacheCounters replay = SimulateCache(ReadAccesses(TraceReader::Open(path)),
                                                     {.rule = rule.rule, .slots = run.budget_experts});
    EXPECT_GT(run.Total().evictions, 0);
    ASSERT_EQ(run.layers.size(), replay.layers.size());
    for (size_t l = 0; l < run.layers.size(); ++l) {
      EXPECT_EQ(run.layers[l].hits, replay.layers[l].hits) << "layer " << l;
      EXPECT_EQ(run.layers[l].misses, replay.layers[l].misses) << "layer " << l;
      EXPECT_EQ(run.layers[l].evictions, replay.layers[l].evictions) << "layer " << l;
    }
  }
}

TEST(ExpertMemory, AReadErrorEndsItsRequestsAndTheEngineGoesOn) {
  ExpertStore store(ExpertStoreOptions{8, EvictionRule::kLru, false}, Tiny().weights,
                    ExpertFileMap(Tiny().weights, Tiny().files),
                    std::make_unique<test::FakeReader>(
                        Tiny(), test::FakeReader::Plan{.seed = 9, .failing_reads = {40, 41, 42}}));
  const auto executor = ExecutorOn(&store, Precision::kBf16);
  Engine engine(*executor, {.chunk_tokens = 16});
  int failed = 0;
  for (const Answer& answer : Ask(engine)) {
    if (!answer.error) continue;
    ++failed;
    EXPECT_EQ(answer.error->kind, ErrorKind::kRequestFailed);
    EXPECT_EQ(answer.error->message, "a planted read error");
  }
  EXPECT_GT(failed, 0);
  ExpectSame(Ask(engine), AllResident(Precision::kBf16));
}

// One greedy request.
Answer AskOne(Runtime& runtime) {
  Request request;
  for (int32_t t = 0; t < 20; ++t) request.prompt.push_back(t * 37 % 3000);
  request.max_new_tokens = 12;
  request.sampling.temperature = 0.0;
  auto stream = runtime.loop().Submit(std::move(request));
  Answer answer;
  while (const std::optional<Event> event = stream->Next()) {
    if (const auto* token = std::get_if<GeneratedToken>(&*event)) answer.tokens.push_back(token->token);
    if (const auto* end = std::get_if<Finished>(&*event)) answer.error = end->error;
  }
  return answer;
}

// Of one file, so that it takes dense weights with it when it shrinks. Nothing mapped may be touched then.
TEST(ExpertMemory, AFileThatLosesItsBytesEndsRequestsAndNeverTheProcess) {
  for (const bool gguf : {false, true}) {
    const TempFolder folder;
    SynthOptions synth;
    synth.preset = "tiny";
    synth.format = gguf ? CheckpointFormat::kGguf : CheckpointFormat::kHuggingFace;
    synth.out = folder.path() / (gguf ? "model.gguf" : "model");
    Synthesize(synth);
    const fs::path file = gguf ? synth.out : synth.out / "model.safetensors";
    const std::string whole = testing::ReadFile(file);
    RuntimeOptions options;
    options.model_path = synth.out;
    options.text = TextParts::kNone;
    options.device.threads = 2;
    options.device.limits.max_context = 256;
    const std::vector<int32_t> expected = AskOne(*Runtime::Load(options)).tokens;
    ASSERT_EQ(expected.size(), 12u);

    options.device.experts.budget = ParseExpertBudget("25%");
    const auto store = Runtime::Load(options);
    options.device.experts.budget.reset();
    options.device.use_mmap = false;
    const auto read = Runtime::Load(options);
    EXPECT_EQ(AskOne(*store).tokens, expected);
    fs::resize_file(file, 0);
    for (int time = 0; time < 2; ++time) {
      const Answer answer = AskOne(*store);
      ASSERT_TRUE(answer.error);
      EXPECT_EQ(answer.error->kind, ErrorKind::kRequestFailed);
      EXPECT_NE(answer.error->message.find("was the file truncated?"), std::string::npos);
      EXPECT_EQ(AskOne(*read).tokens, expected);
    }
    std::ofstream(file, std::ios::binary | std::ios::in)
        .write(whole.data(), static_cast<std::streamsize>(whole.size()));
    EXPECT_EQ(AskOne(*store).tokens, expected);
    EXPECT_FALSE(AskOne(*store).error);
  }
}

TEST(ExpertMemory, ABudgetBelowOneTokenIsRefusedWithTheLeast) {
  ExpectError(ErrorKind::kUsage, {"room for 1 expert,", "uses 2", "6.25%"},
              [] { ExpertMemory({ParseExpertBudget("4%"), EvictionRule::kLru, true}, Tiny()); });
  // The K in force is what counts, not the model's.
  const ExpertMemoryOptions more{ParseExpertBudget("6.25%"), EvictionRule::kLru, true, 6};
  ExpectError(ErrorKind::kUsage, {"room for 2 experts", "uses 6", "18.75%"},
              [&] { ExpertMemory(more, Tiny()); });
  const ExpertMemoryOptions fewer{ParseExpertBudget("4%"), EvictionRule::kLru, true, 1};
  EXPECT_NO_THROW(ExpertMemory(fewer, Tiny()));
  const ExpertFileMap map(Tiny().weights, Tiny().files);
  EXPECT_EQ(SlotsFor(*ParseExpertBudget("6.25%"), map, kTopK), 2);
  EXPECT_EQ(SlotsFor(*ParseExpertBudget("50%"), map, kTopK), kAllExperts / 2);
  EXPECT_EQ(SlotsFor(*ParseExpertBudget("100%"), map, kTopK), 0);
  EXPECT_EQ(SlotsFor(*ParseExpertBudget("1TiB"), map, kTopK), 0);
  EXPECT_EQ(SlotsFor({.bytes = 5 * map.slot_bytes() + 1, .share = std::nullopt}, map, kTopK), 5);
}

TEST(ExpertMemory, BudgetsAreBytesWithUnitsOrAShare) {
  EXPECT_EQ(*ParseExpertBudget("4GiB")->bytes, int64_t{4} << 30);
  EXPECT_EQ(*ParseExpertBudget("1.5G")->bytes, int64_t{3} << 29);
  EXPECT_EQ(*ParseExpertBudget("500MB")->bytes, 500'000'000);
  EXPECT_EQ(*ParseExpertBudget("123456")->bytes, 123456);
  EXPECT_DOUBLE_EQ(*ParseExpertBudget("25%")->share, 0.25);
  for (const char* bad : {"", "0", "-1GiB", "101%", "4 gibibytes", "GiB", "nan", "1e40", "25%%", "0%"})
    EXPECT_FALSE(ParseExpertBudget(bad)) << bad;
}

TEST(ExpertMemory, ColdExpertsPagesAreLetGoAndComeBackUnchanged) {
  ExpertMemory memory({}, Tiny());
  const auto executor = ExecutorOn(&memory.source(), Precision::kBf16);
  Engine engine(*executor, {.chunk_tokens = 16});
  Ask(engine);
  memory.cleaner().Run(/*cold_steps=*/0);
  EXPECT_EQ(memory.cleaner().counts().cold_experts, kAllExperts);
  EXPECT_GT(memory.cleaner().counts().expert_bytes, 0);
  memory.cleaner().Run(0);
  EXPECT_EQ(memory.cleaner().counts().cold_experts, kAllExperts) << "nothing was used in between";
  EXPECT_EQ(memory.cleaner().counts().runs, 2);
  ExpectSame(Ask(engine), AllResident(Precision::kBf16));
}

TEST(MemoryEstimate, IsWhatAnExecutorReserves) {
  const auto registered = [](MemoryClass memory_class) {
    int64_t bytes = 0;
    for (const MemoryEntry& entry : MemoryEntries())
      bytes += entry.memory_class == memory_class ? entry.bytes : 0;
    return bytes;
  };
  CpuExecutorOptions options;
  options.limits = {.max_context = 2048, .max_sequences = 3, .max_step_tokens = 64, .kv_tokens = 4096};
  options.threads = 2;
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    options.precision = precision;
    const int64_t kv = registered(MemoryClass::kKv), activations = registered(MemoryClass::kActivations);
    const CpuMemoryNeed need = EstimateCpuMemory(Tiny().config, Tiny().weights, options);
    EXPECT_EQ(registered(MemoryClass::kKv), kv) << "an estimate that lasts";
    const auto executor = MakeCpuExecutor(Tiny().config, Tiny().weights, options);
    EXPECT_EQ(registered(MemoryClass::kKv) - kv, need.kv_bytes);
    const auto made = static_cast<double>(registered(MemoryClass::kActivations) - activations);
    EXPECT_NEAR(static_cast<double>(need.activation_bytes), made,
                0.1 * made);  // scratch of threads is left out
  }
}

}  // namespace
}  // namespace oxidized
