// Guessing ahead changes no result: the same events with and without, on a fake executor whose text a wrong
// block, a stale draft or a row too many would change. And it happens where it pays.
#include "engine/speculation.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

#include "engine/engine.h"
#include "executor/testing/fake_executor.h"

namespace oxidized {
namespace {

struct Collected {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<bool> forced;
  std::optional<Finished> finished;

  const RequestStats& stats() const { return finished->stats; }
};

void Collect(Engine& engine, RequestId id, Collected& outcome) {
  for (Event& event : engine.TakeEvents(id)) {
    if (auto* token = std::get_if<GeneratedToken>(&event)) {
      outcome.tokens.push_back(token->token);
      outcome.logprobs.push_back(token->logprob);
      outcome.forced.push_back(token->forced);
    }
    if (auto* finished = std::get_if<Finished>(&event)) outcome.finished = std::move(*finished);
  }
}

void ExpectSame(const Collected& a, const Collected& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.forced, b.forced);
  EXPECT_EQ(a.finished->reason, b.finished->reason);
  EXPECT_EQ(a.stats().generated_tokens, b.stats().generated_tokens);
  EXPECT_EQ(a.stats().reused_tokens, b.stats().reused_tokens);
  const auto counted = a.stats().routing.layers(), expected = b.stats().routing.layers();
  for (size_t l = 0; l < counted.size(); ++l) EXPECT_EQ(counted[l].counts, expected[l].counts);
}

// A text that wanders through few words: short matches everywhere, most of them misleading.
FakeOptions Wandering() { return {.vocab_size = 5}; }
// A text that depends on its last four tokens alone: soon a loop, and every guess right.
FakeOptions Looping() { return {.vocab_size = 5, .kv_windows = {4, 4}}; }

SpeculationOptions Eager(int32_t tokens) {
  SpeculationOptions options = SpeculationOptions::Fixed(tokens);
  options.min_match = 1;
  return options;
}

Request MakeRequest(std::vector<int32_t> prompt, int64_t max_new_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = max_new_tokens;
  request.top_logprobs = 0;
  return request;
}

std::vector<int32_t> Prompt(size_t length, uint32_t salt = 0) {
  std::mt19937 random(salt);
  std::vector<int32_t> prompt;
  for (size_t i = 0; i < length; ++i) prompt.push_back(static_cast<int32_t>(random() % 5));
  return prompt;
}

// Two turns: the second begins as the first, so what the first left in kept KV counts too.
using MakeController = std::function<std::shared_ptr<TokenController>()>;
std::vector<Collected> TwoTurns(const FakeOptions& fake, const SpeculationOptions& speculation,
                                Request request, const MakeController& controller = nullptr) {
  FakeExecutor executor(fake);
  Engine engine(executor, {.speculation = speculation});
  std::vector<Collected> outcomes;
  for (int turn = 0; turn < 2; ++turn) {
    if (controller) request.controller = controller();
    const RequestId id = *engine.Submit(request);
    while (engine.Step()) EXPECT_TRUE(engine.Intact());
    Collected outcome;
    Collect(engine, id, outcome);
    request.prompt.insert(request.prompt.end(), outcome.tokens.begin(), outcome.tokens.end());
    request.prompt.push_back(turn);
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

// The same with any number of guesses; returns guesses and right ones of all runs.
std::pair<int64_t, int64_t> ExpectSameWithAnyGuesses(const FakeOptions& fake, const Request& request,
                                                     const MakeController& controller = nullptr) {
  const auto plain = TwoTurns(fake, {}, request, controller);
  int64_t drafted = 0, accepted = 0;
  for (const int32_t drafts : {1, 2, 5, 15, 40}) {
    const auto guessed = TwoTurns(fake, Eager(drafts), request, controller);
    for (size_t turn = 0; turn < plain.size(); ++turn) {
      SCOPED_TRACE(fmt::format("{} guesses, turn {}", drafts, turn));
      ExpectSame(guessed[turn], plain[turn]);
      EXPECT_EQ(plain[turn].stats().drafted_tokens, 0);
      drafted += guessed[turn].stats().drafted_tokens;
      accepted += guessed[turn].stats().accepted_tokens;
    }
  }
  return {drafted, accepted};
}

TEST(Speculation, TheSameTokensWhateverIsGuessed) {
  int64_t wrong = 0, right = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    for (const FakeOptions& fake : {Wandering(), Looping()}) {
      const auto [drafted, accepted] =
          ExpectSameWithAnyGuesses(fake, MakeRequest(Prompt(1 + seed * 3, seed), 70));
      right += accepted;
      wrong += drafted - accepted;
    }
  }
  EXPECT_GT(right, 1000);
  EXPECT_GT(wrong, 1000);
}

TEST(Speculation, RightGuessesSaveSteps) {
  FakeExecutor executor(Looping());
  Engine engine(executor, {.speculation = Eager(15)});
  const RequestId id = *engine.Submit(MakeRequest(Prompt(8), 400));
  while (engine.Step()) {
  }
  Collected outcome;
  Collect(engine, id, outcome);
  EXPECT_EQ(outcome.tokens, executor.Expected(Prompt(8), 400));
  EXPECT_LT(executor.steps(), 150);
  EXPECT_EQ(engine.decode_totals().steps + engine.prefill_totals().steps, executor.steps());
  EXPECT_EQ(engine.prefill_totals().steps, 1) << "a step with guesses is a decode step";
  EXPECT_EQ(engine.decode_totals().rows, engine.decode_totals().steps + outcome.stats().drafted_tokens);
  EXPECT_EQ(1 + engine.decode_totals().steps + outcome.stats().accepted_tokens, 400);
}

TEST(Speculation, StopsWithinAcceptedTokens) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    Request request = MakeRequest(Prompt(10, seed), 60);
    request.stop_tokens = {static_cast<int32_t>(seed % 5)};
    ExpectSameWithAnyGuesses(Looping(), request);
    ExpectSameWithAnyGuesses(Wandering(), request);
  }
}

TEST(Speculation, TheLimitsOfAnswerAndContext) {
  for (int64_t tokens = 0; tokens < 24; ++tokens)
    ExpectSameWithAnyGuesses(Looping(), MakeRequest(Prompt(10), tokens));
  for (int64_t context = 66; context < 90; ++context) {
    FakeOptions fake = Looping();
    fake.max_context = context;  // the executor checks positions
    Request request = MakeRequest(Prompt(30), 1000);
    FakeExecutor executor(fake);
    std::vector<Collected> outcomes;
    for (const SpeculationOptions& options : {SpeculationOptions{}, Eager(7)}) {
      Engine engine(executor, {.speculation = options});
      const RequestId id = *engine.Submit(request);
      while (engine.Step()) EXPECT_TRUE(engine.Intact());
      Collect(engine, id, outcomes.emplace_back());
    }
    ExpectSame(outcomes[1], outcomes[0]);
    EXPECT_EQ(outcomes[0].finished->reason, StopReason::kContextFull);
    EXPECT_GT(outcomes[1].stats().accepted_tokens, 0);
  }
}

TEST(Speculation, MemoryThatRunsOutEndsTheSameTokenLater) {
  FakeOptions fake = Looping();
  fake.kv_windows = {0, 4};  // a wandering text, but blocks of the first group are never freed
  fake.kv_blocks = {3, 24};
  FakeExecutor executor(fake);
  std::vector<Collected> outcomes;
  for (const SpeculationOptions& options : {SpeculationOptions{}, Eager(7)}) {
    Engine engine(executor, {.speculation = options});
    const RequestId id = *engine.Submit(MakeRequest(Prompt(80), 100));
    while (engine.Step()) EXPECT_TRUE(engine.Intact());
    Collect(engine, id, outcomes.emplace_back());
  }
  ExpectSame(outcomes[1], outcomes[0]);
  EXPECT_EQ(outcomes[0].tokens.size(), 17u);
  EXPECT_GT(outcomes[1].stats().drafted_tokens, 0);
}

// Forces some tokens, masks some, stops at some: in an order that depends on the tokens it saw.
class Meddler final : public TokenController {
 public:
  Meddler() : odd_(5, false) {
    odd_.Set(1, true);
    odd_.Set(3, true);
  }
  Verdict OnToken(int32_t token) override {
    ++seen_;
    sum_ = sum_ * 3 + static_cast<uint64_t>(token);
    masked_ = sum_ % 7 == 0;
    if (sum_ % 11 == 0) return {.forced = {2, 4, 2}};
    return {.stop = seen_ > 40 && sum_ % 13 == 0, .forced = {}};
  }
  const TokenMask* NextMask() override { return masked_ ? &odd_ : nullptr; }

 private:
  TokenMask odd_;
  bool masked_ = false;
  int64_t seen_ = 0;
  uint64_t sum_ = 0;
};

TEST(Speculation, ControllersSeeAndDecideTheSame) {
  int64_t forced = 0, accepted = 0;
  for (uint32_t seed = 0; seed < 30; ++seed) {
    for (const FakeOptions& fake : {Wandering(), Looping()}) {
      const Request request = MakeRequest(Prompt(12, seed), 120);
      const MakeController controller = [] { return std::make_shared<Meddler>(); };
      accepted += ExpectSameWithAnyGuesses(fake, request, controller).second;
      const auto outcomes = TwoTurns(fake, Eager(5), request, controller);
      for (const bool f : outcomes[0].forced) forced += f;
    }
  }
  EXPECT_GT(forced, 30);
  EXPECT_GT(accepted, 1000);
}

TEST(Speculation, SomeRequestsNeverGuess) {
  class Rows final : public LogitsSink {
   public:
    void Row(int64_t, std::span<const float>) override {}
  } rows;
  Request penalized = MakeRequest(Prompt(10), 50), limited = penalized, observed = penalized;
  penalized.sampling.frequency_penalty = 0.1;
  limited.routing.capacity_factor = 1.0;
  observed.logits = &rows;
  for (const Request& request : {penalized, limited, observed}) {
    const auto outcomes = TwoTurns(Looping(), Eager(5), request);
    EXPECT_EQ(outcomes[0].stats().drafted_tokens, 0);
    EXPECT_EQ(outcomes[0].tokens.size(), 50u);
  }
}

// Each row once, in order, of tokens that were generated: wrong guesses are not shown.
TEST(Speculation, ObserversSeeOnlyTokensThatCount) {
  class Log final : public RoutingObserver {
   public:
    void OnRows(const ObservedRows& rows) override {
      ASSERT_EQ(rows.first_position, static_cast<int64_t>(tokens.size()));
      tokens.insert(tokens.end(), rows.tokens.begin(), rows.tokens.end());
    }
    std::vector<int32_t> tokens;
  } log;
  FakeExecutor executor(Wandering());
  Engine engine(executor, {.speculation = Eager(5)});
  Request request = MakeRequest(Prompt(10), 100);
  request.routing_observers = {&log};
  const RequestId id = *engine.Submit(request);
  while (engine.Step()) {
  }
  Collected outcome;
  Collect(engine, id, outcome);
  std::vector<int32_t> expected = Prompt(10);
  expected.insert(expected.end(), outcome.tokens.begin(), outcome.tokens.end() - 1);
  EXPECT_EQ(log.tokens, expected);
  EXPECT_GT(outcome.stats().drafted_tokens, outcome.stats().accepted_tokens);
  EXPECT_EQ(outcome.stats().routing.layers()[0].tokens, 109);
}

TEST(Speculation, ADamagedStepEndsItsRequestAlone) {
  FakeExecutor executor(Wandering());
  Engine engine(executor, {.speculation = Eager(5)});
  executor.on_step = [](int64_t step) { return step == 10; };
  const RequestId id = *engine.Submit(MakeRequest(Prompt(10), 60));
  while (engine.Step()) EXPECT_TRUE(engine.Intact());
  Collected outcome;
  Collect(engine, id, outcome);
  EXPECT_EQ(outcome.finished->reason, StopReason::kError);
  EXPECT_EQ(outcome.tokens, executor.Expected(Prompt(10), static_cast<int64_t>(outcome.tokens.size())));
  EXPECT_GE(outcome.tokens.size(), 10u);
  EXPECT_LT(outcome.tokens.size(), 60u);
}

// Random arrivals, cancels, failures and a memory too small, with random guessing.
TEST(SpeculationSimulation, RandomEventsKeepEverythingWhole) {
  int64_t accepted = 0, wrong = 0, preemptions = 0, reused = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto draw = [&](int32_t low, int32_t high) {
      return std::uniform_int_distribution<int32_t>(low, high)(random);
    };
    FakeOptions fake = seed % 2 == 0 ? Wandering() : Looping();
    fake.max_sequences = draw(1, 6);
    fake.max_step_tokens = draw(8, 64);
    fake.kv_blocks = {draw(12, 30), 48};
    FakeExecutor executor(fake);
    executor.on_step = [&](int64_t) -> bool {
      if (draw(0, 299) == 0) throw std::runtime_error("planted");
      return false;
    };
    Engine engine(executor, {.chunk_tokens = draw(0, 40), .speculation = Eager(draw(1, 20))});
    struct Live {
      std::vector<int32_t> prompt;
      int64_t max_new;
      Collected outcome;
    };
    std::map<RequestId, Live> live;
    for (int32_t round = 0; round < 400; ++round) {
      if (round < 350 && draw(0, 9) < 3) {
        Live request{
            Prompt(static_cast<size_t>(draw(1, 120)), static_cast<uint32_t>(draw(0, 4))), draw(0, 100), {}};
        Request submitted = MakeRequest(request.prompt, request.max_new);
        submitted.priority = draw(0, 1);
        live.emplace(*engine.Submit(submitted), request);
      }
      if (!live.empty() && draw(0, 29) == 0) {
        auto victim = live.begin();
        std::advance(victim, draw(0, static_cast<int32_t>(live.size()) - 1));
        engine.Cancel(victim->first);
      }
      engine.Step();
      ASSERT_TRUE(engine.Intact()) << "seed " << seed << " round " << round;
      for (auto it = live.begin(); it != live.end();) {
        Live& request = it->second;
        Collect(engine, it->first, request.outcome);
        ASSERT_EQ(request.outcome.tokens,
                  executor.Expected(request.prompt, static_cast<int64_t>(request.outcome.tokens.size())))
            << "seed " << seed;
        if (!request.outcome.finished) {
          ++it;
          continue;
        }
        const RequestStats& stats = request.outcome.stats();
        if (request.outcome.finished->reason == StopReason::kLength) {
          EXPECT_EQ(stats.generated_tokens, request.max_new);
        }
        accepted += stats.accepted_tokens;
        wrong += stats.drafted_tokens - stats.accepted_tokens;
        preemptions += stats.preemptions;
        reused += stats.reused_tokens;
        it = live.erase(it);
      }
    }
    while (engine.Step()) {
    }
    ASSERT_TRUE(engine.Intact());
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(wrong, 1000);
  EXPECT_GT(preemptions, 0);
  EXPECT_GT(reused, 0);
}

// --- The automatic choice, told what steps cost.

class Chooser {
 public:
  // `cost(rows)` of a step.
  Chooser(std::function<double(int32_t)> cost) : cost_(std::move(cost)) { info_.max_step_tokens = 64; }

  // Runs one sequence whose next token `next` gives; returns (microseconds, tokens).
  std::pair<double, int64_t> Run(const std::function<int32_t(size_t position)>& next, int64_t tokens) {
    info_.max_context = 1 << 20;
    Speculation speculation(SpeculationOptions::Auto(), info_);
    Sequence s;
    s.request.prompt = {1, 2, 3};
    s.request.max_new_tokens = 1 << 20;
    s.tokens = {1, 2, 3, 4};
    s.computed = 3;
    s.may_guess = speculation.May(s);
    double us = 0.0;
    while (s.computed < tokens) {
      Sequence* const running[] = {&s};
      speculation.Propose(running);
      const auto rows = static_cast<int32_t>(1 + s.draft.size());
      speculation.Measure(rows, cost_(rows));
      us += cost_(rows);
      most_rows = std::max(most_rows, rows);
      for (size_t i = 0; i <= s.draft.size(); ++i) {
        ++s.computed;
        s.tokens.push_back(next(s.tokens.size()));
        if (i < s.draft.size() && s.draft[i] != s.tokens.back()) break;
      }
    }
    return {us, s.computed};
  }

  int32_t most_rows = 0;

 private:
  ExecutorInfo info_;
  std::function<double(int32_t)> cost_;
};

double CostOfExperts(int32_t rows) { return 80e3 * std::pow(rows, 0.45); }

TEST(SpeculationChoice, ManyGuessesWhereTheyAreRight) {
  Chooser chooser(CostOfExperts);
  const auto [us, tokens] = chooser.Run([](size_t p) { return static_cast<int32_t>(p % 50); }, 2000);
  EXPECT_GT(static_cast<double>(tokens) / us, 3.0 / CostOfExperts(1));
  EXPECT_EQ(chooser.most_rows, 1 + Speculation::kMostDrafts);
}

TEST(SpeculationChoice, LittleIsLostWhereTheyAreWrong) {
  // Three tokens that repeat, then one that never does; and plain noise of few tokens.
  std::mt19937 random(1);
  const std::function<int32_t(size_t)> texts[] = {
      [](size_t p) { return p % 4 == 3 ? static_cast<int32_t>(1000 + p) : static_cast<int32_t>(p % 4); },
      [&](size_t) { return static_cast<int32_t>(random() % 6); },
      [&](size_t) { return static_cast<int32_t>(random() % 1000); }};
  for (const auto& text : texts) {
    Chooser chooser(CostOfExperts);
    const auto [us, tokens] = chooser.Run(text, 3000);
    EXPECT_GT(static_cast<double>(tokens) / us, 0.98 / CostOfExperts(1));
  }
}

TEST(SpeculationChoice, NotWhereRowsCostTheirFullPrice) {
  Chooser chooser([](int32_t rows) { return 1e3 * rows; });
  const auto [us, tokens] = chooser.Run([](size_t p) { return static_cast<int32_t>(p % 50); }, 3000);
  EXPECT_GT(static_cast<double>(tokens) / us, 0.98 / 1e3);
}

}  // namespace
}  // namespace oxidized
