// Real executors with one step in flight and with two: the same events, bit for bit, with everything that can
// end or turn a request while the next step runs. What two steps may never do is tested on fake devices
// (engine/two_steps_test.cc); here logits, KV and the sampler are real.
#include <gtest/gtest.h>

#include <map>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "executor/cpu/cpu_executor.h"
#include "executor/cpu/step_counters.h"
#include "executor/reference/reference_executor.h"
#include "executor/testing/fake_executor.h"
#include "executor/testing/queued_executor.h"

namespace oxidized::test {
namespace {

constexpr int64_t kContext = 256;

struct Kind {
  const char* name;
  bool reference;
  Precision precision;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

std::unique_ptr<Executor> Make(const Kind& kind, Checkpoint& checkpoint, const ExecutorLimits& limits) {
  if (kind.reference) return MakeReferenceExecutor(checkpoint.config, checkpoint.weights, limits);
  CpuExecutorOptions options;
  options.limits = limits;
  options.precision = kind.precision;
  options.threads = 2;
  return MakeCpuExecutor(checkpoint.config, checkpoint.weights, options);
}

// Forces, masks and stops, by what it has seen.
class Meddler final : public TokenController {
 public:
  Meddler(uint64_t salt, int32_t vocab, bool masks) : mask_(vocab, false), sum_(salt), masks_(masks) {
    for (int32_t id = static_cast<int32_t>(salt % 7); id < vocab; id += 5) mask_.Set(id, true);
  }
  Verdict OnToken(int32_t token) override {
    sum_ = sum_ * 3 + static_cast<uint64_t>(token);
    masked_ = masks_ && sum_ % 3 != 0;
    if (sum_ % 6 == 1) return {.forced = {4, 9, 5}};
    return {.stop = ++seen_ > 20 && sum_ % 5 == 0, .forced = {}};
  }
  const TokenMask* NextMask() override { return masked_ ? &mask_ : nullptr; }
  bool MayMask() const override { return masks_; }

 private:
  TokenMask mask_;
  uint64_t sum_;
  bool masks_, masked_ = false;
  int seen_ = 0;
};

struct Said {
  std::vector<std::pair<int32_t, bool>> tokens;  // and whether forced
  std::vector<float> numbers;                    // log-probabilities: of tokens, of the likeliest, of prompts
  std::optional<Finished> finished;
};

struct Ran {
  std::vector<Said> said;
  int64_t rows = 0, preemptions = 0, forced = 0, ended_early = 0;
};

constexpr size_t kRequests = 10;

Request RequestOf(size_t i, int32_t vocab) {
  Request r;
  for (size_t t = 0; t < 8 + 11 * i; ++t)
    r.prompt.push_back(static_cast<int32_t>((t * 31 + i * 7 + 1) % static_cast<size_t>(vocab)));
  r.prompt[0] = static_cast<int32_t>(i);  // nothing to share: every row is computed
  r.max_new_tokens = 40;
  r.top_logprobs = 2;
  r.sampling.seed = i;
  r.sampling.temperature = i % 4 == 0 ? 0.0 : 1.0;
  if (i % 3 == 1) r.sampling.repetition_penalty = 1.3;
  if (i % 5 == 2) r.score_prompt = true;
  if (i % 2 == 0) {
    for (int32_t id = static_cast<int32_t>(i); id < vocab; id += 29) r.stop_tokens.push_back(id);
  }
  if (i % 4 == 3) r.controller = std::make_shared<Meddler>(i, vocab, i % 8 == 3);
  return r;
}

Ran RunAll(Executor& executor, const EngineOptions& options) {
  Engine engine(executor, options);
  std::map<RequestId, size_t> live;
  Ran ran;
  ran.said.resize(kRequests);
  for (size_t i = 0; i < kRequests; ++i) live[*engine.Submit(RequestOf(i, executor.Info().vocab_size))] = i;
  while (engine.Step()) {
    EXPECT_TRUE(engine.Intact());
    for (const auto& [id, i] : live) {
      Said& said = ran.said[i];
      for (Event& event : engine.TakeEvents(id)) {
        if (auto* token = std::get_if<GeneratedToken>(&event)) {
          said.tokens.emplace_back(token->token, token->forced);
          said.numbers.push_back(token->logprob);
          for (const TokenLogprob& top : token->top) said.numbers.push_back(top.logprob);
          ran.forced += token->forced;
        } else if (auto* score = std::get_if<PromptScore>(&event)) {
          said.numbers.push_back(score->logprob);
        } else if (auto* finished = std::get_if<Finished>(&event)) {
          said.finished = std::move(*finished);
          ran.preemptions += said.finished->stats.preemptions;
          ran.ended_early += said.finished->reason != StopReason::kLength;
        }
      }
      if (i % 5 == 4 && said.tokens.size() > 6 + i) engine.Cancel(id);
    }
  }
  for (const auto& [id, i] : live) {
    for (Event& event : engine.TakeEvents(id)) {
      if (auto* finished = std::get_if<Finished>(&event)) ran.said[i].finished = std::move(*finished);
    }
  }
  ran.rows = engine.decode_totals().rows + engine.prefill_totals().rows;
  return ran;
}

class TwoStepsOnRealExecutors : public ::testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Executors, TwoStepsOnRealExecutors,
                         ::testing::Values(Kind{"reference", true, Precision::kF32},
                                           Kind{"cpu_f32", false, Precision::kF32},
                                           Kind{"cpu_bf16", false, Precision::kBf16}),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST_P(TwoStepsOnRealExecutors, SayTheSameBitForBit) {
  Checkpoint checkpoint = OpenCheckpoint(std::string(GOLDEN_MODELS) + "/base/mxfp4");
  for (const int64_t kv_tokens : {int64_t{1536}, int64_t{256}}) {  // enough, and too little
    ExecutorLimits limits;
    limits.max_context = kContext;
    limits.max_sequences = 5;
    limits.max_step_tokens = 64;
    limits.kv_tokens = kv_tokens;
    const auto direct = Make(GetParam(), checkpoint, limits);
    QueuedExecutor queued(Make(GetParam(), checkpoint, limits));
    const EngineOptions options{.chunk_tokens = 21};
    const Ran one = RunAll(*direct, options), two = RunAll(queued, options);
    for (size_t i = 0; i < kRequests; ++i) {
      SCOPED_TRACE(fmt::format("request {}", i));
      const Said &a = two.said[i], &b = one.said[i];
      EXPECT_EQ(a.tokens, b.tokens);
      EXPECT_EQ(a.numbers, b.numbers);
      ASSERT_TRUE(a.finished && b.finished);
      EXPECT_EQ(a.finished->reason, b.finished->reason);
      const auto counted = a.finished->stats.routing.layers(), expected = b.finished->stats.routing.layers();
      for (size_t l = 0; l < counted.size(); ++l) EXPECT_EQ(counted[l].counts, expected[l].counts);
    }
    EXPECT_GT(one.forced, 5);
    EXPECT_GT(one.ended_early, 3);
    if (kv_tokens == 256) {
      EXPECT_GT(two.preemptions, 0);
    } else {
      EXPECT_EQ(two.rows, one.rows);
    }
  }
}

// What is allocated within its calls is none of the engine's.
class CountingExecutor final : public Executor {
 public:
  explicit CountingExecutor(Executor& executor) : executor_(executor) {}
  const ExecutorInfo& Info() const override { return executor_.Info(); }
  StepTicket Submit(const StepBatch& batch) override {
    StepTicket ticket;
    Count([&] { ticket = executor_.Submit(batch); });
    ahead += in_flight_++ > 0;
    return ticket;
  }
  void Wait(StepTicket ticket, StepResult& result) override {
    --in_flight_;
    Count([&] { executor_.Wait(ticket, result); });
  }
  void GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) override {
    Count([&] { executor_.GiveMasks(ticket, masks); });
  }
  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override {
    Count([&] { executor_.ResetSlot(slot, reused); });
  }
  void CopyBlocks(std::span<const BlockCopy> copies) override {
    Count([&] { executor_.CopyBlocks(copies); });
  }

  int64_t allocations = 0, ahead = 0;

 private:
  template <typename Call>
  void Count(Call&& call) {
    const int64_t before = Allocations();
    call();
    allocations += Allocations() - before;
  }
  Executor& executor_;
  int64_t in_flight_ = 0;
};

class NothingToSay final : public TokenController {
 public:
  Verdict OnToken(int32_t) override { return {}; }
  const TokenMask* NextMask() override { return &mask_; }

 private:
  TokenMask mask_{97, true};
};

TEST(TwoStepsAllocations, ADecodeStepOfTheEngineAllocatesNothing) {
  for (const int32_t steps : {1, 2}) {
    FakeExecutor fake(
        {.max_context = 2048, .kv_blocks = {128, 64}, .steps_in_flight = steps, .late_masks = true});
    CountingExecutor executor(fake);
    Engine engine(executor);
    std::vector<RequestId> ids;
    for (int32_t i = 0; i < 3; ++i) {
      Request request;
      for (int32_t t = 0; t < 600 + i; ++t) request.prompt.push_back((t * 7 + i) % 97);
      request.max_new_tokens = 1000;
      request.controller = std::make_shared<NothingToSay>();
      ids.push_back(*engine.Submit(std::move(request)));
    }
    std::vector<Event> events;
    int64_t tokens = 0;
    const auto step = [&] {
      engine.Step();
      for (const RequestId id : engine.TakeChanged()) {
        engine.TakeEvents(id, events);
        tokens += static_cast<int64_t>(events.size());
      }
    };
    while (tokens < 200) step();  // the prompts, then until everything is warm
    const int64_t before = Allocations() - executor.allocations, ahead = executor.ahead;
    tokens = 0;
    for (int i = 0; i < 60; ++i) step();
    EXPECT_EQ(tokens, 180);
    EXPECT_EQ(Allocations() - executor.allocations, before);
    EXPECT_EQ(executor.ahead - ahead, steps == 2 ? 60 : 0);
    EXPECT_GT(executor.allocations, 0) << "the counter does not count";
  }
}

}  // namespace
}  // namespace oxidized::test
