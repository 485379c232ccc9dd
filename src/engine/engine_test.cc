// The engine on a fake executor: every text must be what the request alone would give, blocks and slots must
// stay whole after every step, and failures must stay with the requests they belong to.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

#include "executor/testing/fake_executor.h"

namespace oxidized {
namespace {

struct Collected {
  std::vector<int32_t> tokens;
  std::optional<Finished> finished;
  int64_t prefill_done = 0;
};

void Collect(Engine& engine, RequestId id, Collected& outcome) {
  for (Event& event : engine.TakeEvents(id)) {
    if (auto* token = std::get_if<GeneratedToken>(&event)) outcome.tokens.push_back(token->token);
    if (auto* progress = std::get_if<PrefillProgress>(&event)) outcome.prefill_done = progress->done;
    if (auto* finished = std::get_if<Finished>(&event)) outcome.finished = std::move(*finished);
  }
}

Collected RunAlone(Engine& engine, Request request) {
  const auto id = engine.Submit(std::move(request));
  EXPECT_TRUE(id.has_value());
  Collected outcome;
  while (engine.Step()) EXPECT_TRUE(engine.Intact());
  Collect(engine, *id, outcome);
  return outcome;
}

Request MakeRequest(std::vector<int32_t> prompt, int64_t max_new_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = max_new_tokens;
  return request;
}

std::vector<int32_t> Prompt(size_t length, int32_t salt = 0) {
  std::vector<int32_t> prompt;
  for (size_t i = 0; i < length; ++i)
    prompt.push_back(static_cast<int32_t>((i * 31 + static_cast<size_t>(salt) * 7) % 97));
  return prompt;
}

TEST(Engine, OneRequestGivesItsTokensAndStops) {
  FakeExecutor executor({});
  Engine engine(executor);
  const Collected outcome = RunAlone(engine, MakeRequest(Prompt(100), 50));
  EXPECT_EQ(outcome.tokens, executor.Expected(Prompt(100), 50));
  EXPECT_EQ(outcome.finished->reason, StopReason::kLength);
  EXPECT_EQ(outcome.finished->stats.generated_tokens, 50);
  EXPECT_EQ(outcome.finished->stats.read_tokens, 100);
  EXPECT_EQ(outcome.prefill_done, 100);
  EXPECT_EQ(outcome.finished->stats.routing.layers()[0].counts[0], 149);  // the last token is never computed
}

TEST(Engine, StatisticsOfACancelledPromptCountWhatWasRead) {
  FakeExecutor executor({});
  Engine engine(executor, {.chunk_tokens = 16});
  const auto id = engine.Submit(MakeRequest(Prompt(100), 50));
  engine.Step();
  engine.Step();
  engine.Cancel(*id);
  Collected outcome;
  Collect(engine, *id, outcome);
  EXPECT_EQ(outcome.finished->reason, StopReason::kCancelled);
  EXPECT_EQ(outcome.finished->stats.read_tokens, 32);
  EXPECT_EQ(outcome.finished->stats.prompt_tokens, 100);
}

TEST(Engine, ChunkSizeDoesNotChangeTheText) {
  for (const int32_t chunk : {1, 7, 33, 64}) {
    FakeExecutor executor({});
    Engine engine(executor, {.chunk_tokens = chunk});
    EXPECT_EQ(RunAlone(engine, MakeRequest(Prompt(130), 40)).tokens, executor.Expected(Prompt(130), 40))
        << chunk;
  }
}

TEST(Engine, StopTokensAreReportedAndEndTheRequest) {
  FakeExecutor executor({});
  Engine engine(executor);
  const auto expected = executor.Expected(Prompt(5), 20);
  Request request = MakeRequest(Prompt(5), 20);
  request.stop_tokens = {expected[3]};
  const Collected outcome = RunAlone(engine, std::move(request));
  EXPECT_EQ(outcome.tokens.back(), expected[3]);
  EXPECT_LE(outcome.tokens.size(), 4u);
  EXPECT_EQ(outcome.finished->reason, StopReason::kStopToken);
}

TEST(Engine, TheContextEndsTheRequest) {
  FakeExecutor executor({.max_context = 64});
  Engine engine(executor);
  const Collected outcome = RunAlone(engine, MakeRequest(Prompt(60), 100));
  EXPECT_EQ(outcome.tokens.size(), 4u);
  EXPECT_EQ(outcome.finished->reason, StopReason::kContextFull);
}

TEST(Engine, RefusalsTouchNobodyElse) {
  FakeExecutor executor({.max_context = 64});
  Engine engine(executor);
  EXPECT_EQ(engine.Submit(MakeRequest({}, 1)).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(engine.Submit(MakeRequest({97}, 1)).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(engine.Submit(MakeRequest({-1}, 1)).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(engine.Submit(MakeRequest(Prompt(64), 1)).error().kind, ErrorKind::kContextFull);
  Request odd = MakeRequest({1}, 1);
  odd.sampling.top_p = 0.0;
  EXPECT_EQ(engine.Submit(odd).error().kind, ErrorKind::kUsage);
  EXPECT_FALSE(engine.Step());
}

class ForceAfter final : public TokenController {
 public:
  explicit ForceAfter(int32_t after) : after_(after) {}
  Verdict OnToken(int32_t) override {
    ++seen_;
    if (seen_ == after_) return {.forced = {5, 6, 7}};
    return {.stop = seen_ == after_ + 2, .forced = {}};
  }

 private:
  int32_t after_, seen_ = 0;
};

TEST(Engine, AControllerCanForceTokensAndStop) {
  FakeExecutor executor({});
  Engine engine(executor);
  Request request = MakeRequest(Prompt(3), 50);
  request.controller = std::make_shared<ForceAfter>(2);
  const Collected outcome = RunAlone(engine, std::move(request));
  ASSERT_EQ(outcome.tokens.size(), 7u);  // 2 sampled, 3 forced, 2 sampled
  EXPECT_EQ(std::vector<int32_t>(outcome.tokens.begin() + 2, outcome.tokens.begin() + 5),
            (std::vector<int32_t>{5, 6, 7}));
  std::vector<int32_t> fed = Prompt(3);
  fed.insert(fed.end(), outcome.tokens.begin(), outcome.tokens.begin() + 5);
  EXPECT_EQ(std::vector<int32_t>(outcome.tokens.begin() + 5, outcome.tokens.end()),
            executor.Expected(fed, 2));
  EXPECT_EQ(outcome.finished->reason, StopReason::kController);
}

TEST(Engine, AFailingStepEndsItsRequestsOnly) {
  FakeExecutor executor({});
  Engine engine(executor);
  const auto first = *engine.Submit(MakeRequest(Prompt(10), 10));
  executor.on_step = [](int64_t step) -> bool {
    if (step == 2) throw std::runtime_error("device lost");
    return false;
  };
  while (engine.Step()) EXPECT_TRUE(engine.Intact());
  Collected outcome;
  Collect(engine, first, outcome);
  EXPECT_EQ(outcome.finished->reason, StopReason::kError);
  EXPECT_EQ(outcome.finished->error->message, "device lost");
  EXPECT_EQ(RunAlone(engine, MakeRequest(Prompt(10), 10)).tokens, executor.Expected(Prompt(10), 10));
}

TEST(Engine, NonFiniteLogitsEndTheRequestWithAnError) {
  FakeExecutor executor({});
  Engine engine(executor);
  executor.on_step = [](int64_t step) { return step == 1; };
  const Collected outcome = RunAlone(engine, MakeRequest(Prompt(10), 10));
  EXPECT_EQ(outcome.finished->reason, StopReason::kError);
  EXPECT_EQ(outcome.finished->error->kind, ErrorKind::kRequestFailed);
  EXPECT_EQ(outcome.tokens.size(), 1u);
}

TEST(Engine, PriorityGoesFirst) {
  FakeExecutor executor({.max_sequences = 1});
  Engine engine(executor);
  const auto slow = *engine.Submit(MakeRequest(Prompt(10), 5));
  Request urgent = MakeRequest(Prompt(10), 5);
  urgent.priority = 1;
  const auto fast = *engine.Submit(urgent);
  engine.Step();
  Collected slow_outcome, fast_outcome;
  Collect(engine, slow, slow_outcome);
  Collect(engine, fast, fast_outcome);
  EXPECT_TRUE(slow_outcome.tokens.empty());
  EXPECT_EQ(fast_outcome.tokens.size(), 1u);
}

TEST(Engine, PreemptionUnderMemoryPressureChangesNothing) {
  // Four sequences of up to 180 tokens want 24 blocks; there are 10.
  FakeExecutor executor({.kv_blocks = {10, 24}});
  Engine engine(executor);
  std::vector<RequestId> ids;
  for (int32_t i = 0; i < 4; ++i) ids.push_back(*engine.Submit(MakeRequest(Prompt(80, i), 100)));
  while (engine.Step()) ASSERT_TRUE(engine.Intact());
  int64_t preemptions = 0;
  for (int32_t i = 0; i < 4; ++i) {
    Collected outcome;
    Collect(engine, ids[static_cast<size_t>(i)], outcome);
    EXPECT_EQ(outcome.tokens, executor.Expected(Prompt(80, i), 100)) << i;
    preemptions += outcome.finished->stats.preemptions;
    EXPECT_EQ(outcome.finished->stats.routing.layers()[0].counts[0], 179) << "recomputed rows count once";
  }
  EXPECT_GT(preemptions, 0);
}

TEST(Engine, AloneAndOutOfMemoryIsContextFull) {
  FakeExecutor executor({.kv_blocks = {3, 24}});
  Engine engine(executor);
  const Collected outcome = RunAlone(engine, MakeRequest(Prompt(80), 100));
  EXPECT_EQ(outcome.finished->reason, StopReason::kContextFull);
  EXPECT_EQ(outcome.tokens.size(),
            17u);  // 96 positions hold 80 + 16; the 17th token needs none until it is fed
}

// --- prefix reuse
// ----------------------------------------------------------------------------------------------------

FakeOptions ChatSized() {
  return {.max_context = 16384,
          .max_sequences = 2,
          .max_step_tokens = 512,
          .kv_windows = {0, 128},
          .kv_blocks = {512, 120}};
}

int64_t PrefilledTokens(const Collected& outcome) {
  return outcome.finished->stats.prompt_tokens - outcome.finished->stats.reused_tokens;
}

// A chat as Harmony has it: each turn's prompt is the last prompt, then the last turn's final message without
// its reasoning, then the new input.
TEST(EnginePrefixReuse, AChatTurnPrefillsOnlyTheLastAnswerAndTheNewInput) {
  FakeExecutor executor(ChatSized());
  Engine engine(executor);
  std::vector<int32_t> prompt = Prompt(300);
  size_t new_tokens = prompt.size();
  for (int32_t turn = 0; turn < 5; ++turn) {
    const Collected outcome =
        RunAlone(engine, MakeRequest(prompt, 1000 + 40));  // 1,000 tokens of reasoning, 40 of answer
    ASSERT_EQ(outcome.tokens, executor.Expected(prompt, 1040)) << turn;
    EXPECT_LE(PrefilledTokens(outcome), static_cast<int64_t>(new_tokens)) << turn;
    const auto final_message = std::vector<int32_t>(outcome.tokens.end() - 40, outcome.tokens.end());
    const auto input = Prompt(static_cast<size_t>(25 + turn), turn);
    prompt.insert(prompt.end(), final_message.begin(), final_message.end());
    prompt.insert(prompt.end(), input.begin(), input.end());
    new_tokens = final_message.size() + input.size();
  }
}

TEST(EnginePrefixReuse, ARetryAndAContinuationResume) {
  FakeExecutor executor(ChatSized());
  Engine engine(executor);
  const Collected first = RunAlone(engine, MakeRequest(Prompt(200), 100));
  const Collected retry = RunAlone(engine, MakeRequest(Prompt(200), 100));
  EXPECT_EQ(retry.tokens, first.tokens);
  EXPECT_EQ(PrefilledTokens(retry), 1);  // its logits are needed
  std::vector<int32_t> longer = Prompt(200);
  longer.insert(longer.end(), first.tokens.begin(), first.tokens.end());
  const Collected more = RunAlone(engine, MakeRequest(longer, 30));
  EXPECT_EQ(more.tokens, executor.Expected(longer, 30));
  EXPECT_EQ(PrefilledTokens(more), 1);
}

TEST(EnginePrefixReuse, ARunningRequestsPromptCanBeShared) {
  FakeExecutor executor(ChatSized());
  Engine engine(executor);
  const auto running = *engine.Submit(MakeRequest(Prompt(200), 500));
  engine.Step();
  engine.Step();
  std::vector<int32_t> longer = Prompt(200);
  longer.push_back(1);
  const auto second = *engine.Submit(MakeRequest(longer, 50));
  while (engine.Step()) ASSERT_TRUE(engine.Intact());
  Collected a, b;
  Collect(engine, running, a);
  Collect(engine, second, b);
  EXPECT_EQ(a.tokens, executor.Expected(Prompt(200), 500));
  EXPECT_EQ(b.tokens, executor.Expected(longer, 50));
  EXPECT_EQ(b.finished->stats.reused_tokens, 200);
}

TEST(EnginePrefixReuse, OtherRoutingSharesNothing) {
  FakeExecutor executor(ChatSized());
  Engine engine(executor);
  RunAlone(engine, MakeRequest(Prompt(200), 10));
  Request other = MakeRequest(Prompt(200), 10);
  other.routing.num_experts = 2;
  EXPECT_EQ(PrefilledTokens(RunAlone(engine, other)), 200);
  Request capacity = MakeRequest(Prompt(200), 10);
  capacity.routing.capacity_factor = 1.0;
  EXPECT_EQ(PrefilledTokens(RunAlone(engine, capacity)), 200);
  EXPECT_EQ(PrefilledTokens(RunAlone(engine, capacity)), 200);
}

TEST(EnginePrefixReuse, KeptPrefixesGiveWayToRunningRequests) {
  FakeExecutor executor({.kv_blocks = {16, 24}});
  Engine engine(executor);
  for (int32_t i = 0; i < 10; ++i) {
    const Collected outcome = RunAlone(engine, MakeRequest(Prompt(300, i), 100));
    EXPECT_EQ(outcome.tokens, executor.Expected(Prompt(300, i), 100));
    EXPECT_EQ(outcome.finished->stats.preemptions, 0);
  }
}

// Random arrivals, lengths, shared beginnings, cancels and planted failures.
TEST(EngineSimulation, RandomEventsKeepEverythingWhole) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto draw = [&](int32_t low, int32_t high) {
      return std::uniform_int_distribution<int32_t>(low, high)(random);
    };
    FakeExecutor executor({.max_sequences = draw(1, 6), .kv_blocks = {draw(12, 40), 64}});
    executor.on_step = [&](int64_t) -> bool {
      if (draw(0, 199) == 0) throw std::runtime_error("planted");
      return draw(0, 199) == 0;
    };
    Engine engine(executor, {.chunk_tokens = draw(0, 40)});
    struct Live {
      std::vector<int32_t> prompt;
      int64_t max_new;
      bool cancelled = false;
      Collected outcome;
    };
    std::map<RequestId, Live> live;
    int32_t completed = 0, failed = 0, cancelled = 0;
    int64_t reused = 0;
    for (int32_t round = 0; round < 600; ++round) {
      if (round < 500 && draw(0, 9) < 3) {
        Live request{Prompt(static_cast<size_t>(draw(1, 200)), draw(0, 5)), draw(0, 60), false, {}};
        if (draw(0, 1) == 0) request.prompt.push_back(draw(0, 96));
        Request submitted = MakeRequest(request.prompt, request.max_new);
        submitted.priority = draw(0, 1);
        live.emplace(*engine.Submit(submitted), request);
      }
      if (!live.empty() && draw(0, 19) == 0) {
        auto victim = live.begin();
        std::advance(victim, draw(0, static_cast<int32_t>(live.size()) - 1));
        engine.Cancel(victim->first);
        victim->second.cancelled = true;
      }
      engine.Step();
      ASSERT_TRUE(engine.Intact()) << "seed " << seed << " round " << round;
      for (auto it = live.begin(); it != live.end();) {
        Live& request = it->second;
        Collect(engine, it->first, request.outcome);
        const auto expected =
            executor.Expected(request.prompt, static_cast<int64_t>(request.outcome.tokens.size()));
        ASSERT_EQ(request.outcome.tokens, expected) << "seed " << seed;
        if (!request.outcome.finished) {
          ++it;
          continue;
        }
        switch (request.outcome.finished->reason) {
          case StopReason::kLength:
            ++completed;
            EXPECT_EQ(static_cast<int64_t>(request.outcome.tokens.size()), request.max_new);
            break;
          case StopReason::kError:
            ++failed;
            break;
          case StopReason::kCancelled:
            ++cancelled;
            EXPECT_TRUE(request.cancelled);
            break;
          default:
            FAIL() << "unexpected stop " << Name(request.outcome.finished->reason);
        }
        reused += request.outcome.finished->stats.reused_tokens;
        it = live.erase(it);
      }
    }
    while (engine.Step()) {
    }
    ASSERT_TRUE(engine.Intact());
    EXPECT_GT(completed, 0);
    EXPECT_GT(cancelled + failed, 0);
    EXPECT_GT(reused, 0);
  }
}

}  // namespace
}  // namespace oxidized
