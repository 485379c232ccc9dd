// One step in flight against two: the same tokens, log-probabilities, reasons, routing and totals, on fake
// devices that work at once, as late as they may, and on a thread of their own. What must not leave a trace
// (rows of sequences that ended while the next step ran, samples that forced tokens made void) is what these
// devices would show: tools/planted_faults.py breaks the engine in each of the places and expects a failure.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <stdexcept>

#include "engine/engine.h"
#include "executor/testing/fake_executor.h"
#include "executor/testing/queued_executor.h"

namespace oxidized {
namespace {

// Passes on, and looks at what goes by.
class WatchedExecutor final : public Executor {
 public:
  explicit WatchedExecutor(std::unique_ptr<Executor> executor) : executor_(std::move(executor)) {}
  const ExecutorInfo& Info() const override { return executor_->Info(); }
  StepTicket Submit(const StepBatch& batch) override {
    if (on_batch) on_batch(batch);
    const StepTicket ticket = executor_->Submit(batch);
    ahead += in_flight++ > 0;
    ++steps;
    return ticket;
  }
  void Wait(StepTicket ticket, StepResult& result) override {
    --in_flight;
    executor_->Wait(ticket, result);
  }
  void GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) override {
    executor_->GiveMasks(ticket, masks);
  }
  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override {
    executor_->ResetSlot(slot, reused);
  }
  void CopyBlocks(std::span<const BlockCopy> copies) override { executor_->CopyBlocks(copies); }

  std::function<void(const StepBatch&)> on_batch;
  int64_t steps = 0, ahead = 0, in_flight = 0;

 private:
  std::unique_ptr<Executor> executor_;
};

struct Device {
  const char* name;
  int32_t steps_in_flight;
  bool lazy = false, threaded = false, late_masks = false;

  std::unique_ptr<WatchedExecutor> Make(FakeOptions options,
                                        std::function<bool(int64_t)> on_step = nullptr) const {
    options.steps_in_flight = threaded ? 1 : steps_in_flight;
    options.lazy = lazy;
    options.late_masks = late_masks;
    auto fake = std::make_unique<FakeExecutor>(options);
    fake->on_step = std::move(on_step);
    if (!threaded) return std::make_unique<WatchedExecutor>(std::move(fake));
    return std::make_unique<WatchedExecutor>(std::make_unique<QueuedExecutor>(std::move(fake)));
  }
};
void PrintTo(const Device& device, std::ostream* out) { *out << device.name; }

constexpr Device kOneStep{.name = "one", .steps_in_flight = 1};
constexpr Device kDevices[] = {
    {.name = "eager", .steps_in_flight = 2},
    {.name = "lazy", .steps_in_flight = 2, .lazy = true},
    {.name = "threaded", .steps_in_flight = 2, .threaded = true},
    {.name = "eager_late", .steps_in_flight = 2, .late_masks = true},
    {.name = "lazy_late", .steps_in_flight = 2, .lazy = true, .late_masks = true},
    {.name = "threaded_late", .steps_in_flight = 2, .threaded = true, .late_masks = true},
    {.name = "one_lazy_late", .steps_in_flight = 1, .lazy = true, .late_masks = true},
};

class TwoSteps : public ::testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Devices, TwoSteps, ::testing::ValuesIn(kDevices),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

std::vector<int32_t> Prompt(size_t length, uint32_t salt, int32_t vocab = 97) {
  std::mt19937 random(salt + 1);
  std::vector<int32_t> prompt;
  for (size_t i = 0; i < length; ++i)
    prompt.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocab)));
  return prompt;
}

using MakeController = std::function<std::shared_ptr<TokenController>()>;

// One request of a script; what happens to it depends on its own tokens, never on the number of a step.
struct Item {
  Request request;
  bool watched = false;  // its routing
  MakeController controller = nullptr;
  int64_t cancel_after = -1;  // tokens that its reader has seen
  int64_t submit_at = 0;      // calls of Step before
};

Item MakeItem(std::vector<int32_t> prompt, int64_t max_new_tokens) {
  Item item;
  item.request.prompt = std::move(prompt);
  item.request.max_new_tokens = max_new_tokens;
  item.request.top_logprobs = 0;
  return item;
}

// The tokens of the rows it is shown, which must come in order.
class RowLog final : public RoutingObserver {
 public:
  void OnRows(const ObservedRows& rows) override {
    EXPECT_EQ(rows.first_position, static_cast<int64_t>(tokens.size()));
    tokens.insert(tokens.end(), rows.tokens.begin(), rows.tokens.end());
  }
  std::vector<int32_t> tokens;
};

struct Said {
  std::vector<int32_t> tokens, observed;
  std::vector<bool> forced;
  std::vector<float> logprobs;
  std::vector<std::pair<int64_t, float>> scores;
  std::vector<int64_t> progress;
  std::optional<Finished> finished;
  int64_t events_after_finished = 0;

  const RequestStats& stats() const { return finished->stats; }
};

void Take(Engine& engine, RequestId id, Said& said) {
  for (Event& event : engine.TakeEvents(id)) {
    said.events_after_finished += said.finished.has_value();
    if (auto* token = std::get_if<GeneratedToken>(&event)) {
      said.tokens.push_back(token->token);
      said.forced.push_back(token->forced);
      said.logprobs.push_back(token->logprob);
    } else if (auto* score = std::get_if<PromptScore>(&event)) {
      said.scores.emplace_back(score->position, score->logprob);
    } else if (auto* progress = std::get_if<PrefillProgress>(&event)) {
      said.progress.push_back(progress->done);
    } else {
      said.finished = std::get<Finished>(event);
    }
  }
}

struct Ran {
  std::vector<Said> said;
  int64_t steps = 0, ahead = 0;
  StageTotals totals;
  int64_t rows = 0;
};

Ran RunScript(WatchedExecutor& executor, const std::vector<Item>& items, const EngineOptions& options = {}) {
  Engine engine(executor, options);
  Ran ran;
  ran.said.resize(items.size());
  std::vector<RowLog> logs(items.size());
  std::map<RequestId, size_t> live;
  size_t submitted = 0;
  bool more = true;
  for (int64_t call = 0; more || submitted < items.size(); ++call) {
    while (submitted < items.size() && items[submitted].submit_at <= call) {
      Request request = items[submitted].request;
      if (items[submitted].controller) request.controller = items[submitted].controller();
      if (items[submitted].watched) request.routing_observers.push_back(&logs[submitted]);
      const auto id = engine.Submit(std::move(request));
      EXPECT_TRUE(id.has_value()) << id.error().message;
      live[*id] = submitted++;
    }
    more = engine.Step();
    EXPECT_TRUE(engine.Intact());
    // Only changed requests have events, and each of those has some.
    const auto changed = engine.TakeChanged();
    for (const auto& [id, index] : std::map(live)) {
      const bool listed = std::find(changed.begin(), changed.end(), id) != changed.end();
      Said& said = ran.said[index];
      const size_t before = said.tokens.size() + said.scores.size() + said.progress.size();
      Take(engine, id, said);
      const bool got = said.tokens.size() + said.scores.size() + said.progress.size() > before;
      EXPECT_EQ(listed, got || said.finished.has_value());
      const int64_t cancel_after = items[index].cancel_after;
      if (!said.finished && cancel_after >= 0 && static_cast<int64_t>(said.tokens.size()) >= cancel_after) {
        engine.Cancel(id);
        Take(engine, id, said);
        EXPECT_TRUE(said.finished.has_value());
        EXPECT_TRUE(engine.Intact());
      }
      if (said.finished) live.erase(id);
    }
  }
  EXPECT_TRUE(live.empty());
  EXPECT_TRUE(engine.idle());
  for (size_t i = 0; i < items.size(); ++i) ran.said[i].observed = logs[i].tokens;
  ran.steps = executor.steps;
  ran.ahead = executor.ahead;
  ran.totals = engine.decode_totals();
  ran.totals.Add(engine.prefill_totals());
  return ran;
}

void ExpectSame(const Said& a, const Said& b, bool same_rows) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.forced, b.forced);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.scores, b.scores);
  ASSERT_TRUE(a.finished && b.finished);
  EXPECT_EQ(a.events_after_finished, 0);
  EXPECT_EQ(a.finished->reason, b.finished->reason);
  EXPECT_EQ(a.finished->error.has_value(), b.finished->error.has_value());
  if (a.finished->error && b.finished->error) {
    EXPECT_EQ(a.finished->error->kind, b.finished->error->kind);
    EXPECT_EQ(a.finished->error->message, b.finished->error->message);
  }
  EXPECT_EQ(a.stats().generated_tokens, b.stats().generated_tokens);
  EXPECT_EQ(a.stats().read_tokens, b.stats().read_tokens);
  if (!same_rows) return;
  EXPECT_EQ(a.stats().reused_tokens, b.stats().reused_tokens);
  EXPECT_EQ(a.observed, b.observed);
  for (const RoutingPhase phase : {RoutingPhase::kPrefill, RoutingPhase::kDecode}) {
    const auto &counted = a.stats().routing.phase(phase), &expected = b.stats().routing.phase(phase);
    ASSERT_EQ(counted.size(), expected.size());
    for (size_t l = 0; l < counted.size(); ++l) {
      EXPECT_EQ(counted[l].counts, expected[l].counts);
      EXPECT_EQ(counted[l].tokens, expected[l].tokens);
    }
  }
}

struct Comparison {
  bool same_rows = true;    // nobody shares a prefix: every request computes its own rows
  bool same_totals = true;  // and none twice
};

// Runs a script on the device and on one that takes a single step at a time; the device's run.
Ran ExpectSameAsOneStep(const Device& device, const FakeOptions& fake, const std::vector<Item>& items,
                        const EngineOptions& options = {}, Comparison comparison = {}) {
  const auto one = kOneStep.Make(fake), two = device.Make(fake);
  const Ran expected = RunScript(*one, items, options);
  EXPECT_EQ(expected.ahead, 0);
  Ran actual = RunScript(*two, items, options);
  for (size_t i = 0; i < items.size(); ++i) {
    SCOPED_TRACE(fmt::format("request {}", i));
    ExpectSame(actual.said[i], expected.said[i], comparison.same_rows);
  }
  if (comparison.same_totals) {
    EXPECT_EQ(actual.totals.rows, expected.totals.rows);
  }
  if (device.steps_in_flight == 1) {
    EXPECT_EQ(actual.ahead, 0);
  }
  return actual;
}

// Requests of one kind each, none of them alike at the beginning.
std::vector<Item> SomeItems(int32_t count, int32_t vocab = 97) {
  std::vector<Item> items;
  for (int32_t i = 0; i < count; ++i) {
    items.push_back(
        MakeItem(Prompt(static_cast<size_t>(3 + 23 * i), static_cast<uint32_t>(i), vocab), 20 + 7 * i));
    items.back().request.prompt[0] = i % vocab;
    items.back().watched = true;
  }
  return items;
}

TEST_P(TwoSteps, PlainAnswers) {
  const auto ran = ExpectSameAsOneStep(GetParam(), {}, SomeItems(4), {.chunk_tokens = 16});
  const FakeExecutor fake({});
  for (size_t i = 0; i < 4; ++i) {
    const Item item = SomeItems(4)[i];
    EXPECT_EQ(ran.said[i].tokens, fake.Expected(item.request.prompt, item.request.max_new_tokens));
  }
  if (GetParam().steps_in_flight == 2) {
    EXPECT_EQ(ran.ahead, ran.steps - 1) << "nothing here has a reason to wait";
  }
}

TEST_P(TwoSteps, OneRequestTakesAsManySteps) {
  const std::vector<Item> items = {MakeItem(Prompt(100, 1), 50)};
  const auto one = kOneStep.Make({}), two = GetParam().Make({});
  const Ran expected = RunScript(*one, items), actual = RunScript(*two, items);
  EXPECT_EQ(actual.steps, expected.steps) << "an answer's length is known: no row is computed in vain";
  EXPECT_EQ(actual.totals.steps, expected.totals.steps);
  EXPECT_EQ(actual.totals.rows, expected.totals.rows);
}

TEST_P(TwoSteps, StopTokensLeaveNoTraceOfTheStepBehind) {
  for (uint32_t salt = 0; salt < 10; ++salt) {
    std::vector<Item> items = SomeItems(4);
    for (size_t i = 0; i < items.size(); ++i) {
      items[i].request.max_new_tokens = 200;
      for (int32_t stop = 0; stop < 97; stop += 13 + static_cast<int32_t>(i))
        items[i].request.stop_tokens.push_back(stop + static_cast<int32_t>(salt) % 7);
    }
    const auto ran = ExpectSameAsOneStep(GetParam(), {}, items);
    for (const Said& said : ran.said) EXPECT_EQ(said.finished->reason, StopReason::kStopToken);
  }
}

TEST_P(TwoSteps, LimitsOfAnswerAndContext) {
  for (int64_t most = 0; most < 5; ++most)
    ExpectSameAsOneStep(GetParam(), {}, {MakeItem(Prompt(40, 3), most), MakeItem(Prompt(7, 4), 9)});
  for (int64_t context = 64; context < 70; ++context) {
    const auto ran = ExpectSameAsOneStep(GetParam(), {.max_context = context},
                                         {MakeItem(Prompt(60, 3), 100), MakeItem(Prompt(50, 4), 100)});
    EXPECT_EQ(ran.said[0].finished->reason, StopReason::kContextFull);
  }
}

TEST_P(TwoSteps, PromptsAreScoredTheSame) {
  std::vector<Item> items = SomeItems(3);
  for (Item& item : items) item.request.score_prompt = true;
  items.push_back(MakeItem(Prompt(150, 9), 0));
  items.back().request.score_prompt = true;
  ExpectSameAsOneStep(GetParam(), {}, items, {.chunk_tokens = 11});
}

// Forces tokens, masks and stops, in an order that depends on the tokens that it saw.
class Meddler final : public TokenController {
 public:
  Meddler(uint64_t salt, int32_t vocab, bool masks) : mask_(vocab, false), sum_(salt), may_mask_(masks) {
    for (int32_t id = static_cast<int32_t>(salt % 5); id < vocab; id += 3 + static_cast<int32_t>(salt % 3))
      mask_.Set(id, true);
  }
  Verdict OnToken(int32_t token) override {
    ++seen_;
    sum_ = sum_ * 3 + static_cast<uint64_t>(token);
    masked_ = may_mask_ && sum_ % 4 == 0;
    if (sum_ % 5 == 1) return {.forced = {2, 4, 3}};
    if (sum_ % 7 == 1) return {.forced = {1}};
    return {.stop = seen_ > 25 && sum_ % 5 == 0, .forced = {}};
  }
  const TokenMask* NextMask() override { return masked_ ? &mask_ : nullptr; }
  bool MayMask() const override { return may_mask_; }

 private:
  TokenMask mask_;
  uint64_t sum_;
  bool may_mask_, masked_ = false;
  int64_t seen_ = 0;
};

MakeController Meddling(uint64_t salt, bool masks, int32_t vocab = 97) {
  return [=] { return std::make_shared<Meddler>(salt, vocab, masks); };
}

TEST_P(TwoSteps, ForcedTokensMakeTheirDrawVoidAndNothingElse) {
  int64_t forced = 0;
  for (uint32_t salt = 0; salt < 10; ++salt) {
    std::vector<Item> items = SomeItems(4);
    for (size_t i = 0; i < items.size(); ++i) {
      items[i].request.max_new_tokens = 90;
      items[i].controller = Meddling(salt * 4 + i, false);
    }
    const auto ran = ExpectSameAsOneStep(GetParam(), {}, items);
    for (const Said& said : ran.said) forced += std::count(said.forced.begin(), said.forced.end(), true);
    if (GetParam().steps_in_flight == 2) {
      EXPECT_GT(ran.ahead, ran.steps / 2);
    }
  }
  EXPECT_GT(forced, 500);
}

TEST_P(TwoSteps, MasksReachTheSamplesTheyAreFor) {
  for (uint32_t salt = 0; salt < 10; ++salt) {
    std::vector<Item> items = SomeItems(4);
    for (size_t i = 0; i < items.size(); ++i) {
      items[i].request.max_new_tokens = 90;
      items[i].controller = Meddling(salt * 4 + i, i != 2);
      if (i == 1) {
        auto own = std::make_shared<TokenMask>(97, false);
        for (int32_t id = 1; id < 97; id += 2) own->Set(id, true);
        items[i].request.mask = own;
      }
    }
    const auto ran = ExpectSameAsOneStep(GetParam(), {}, items);
    if (GetParam().steps_in_flight == 2 && GetParam().late_masks) {
      EXPECT_GT(ran.ahead, ran.steps / 2);
    }
  }
}

// Without late masks a request that may mask holds the others' next step back, and no longer than it lives.
TEST(TwoStepsHeld, AMaskThatCannotComeLateIsWaitedFor) {
  for (const bool late : {false, true}) {
    const Device device{.name = "", .steps_in_flight = 2, .late_masks = late};
    const auto executor = device.Make({});
    std::vector<Item> items = {MakeItem(Prompt(5, 1), 40), MakeItem(Prompt(5, 2), 10)};
    items[1].controller = Meddling(3, true);
    const Ran ran = RunScript(*executor, items);
    EXPECT_EQ(ran.ahead < 35, !late);
    EXPECT_GT(ran.ahead, 20);
  }
}

TEST_P(TwoSteps, PenaltiesCountWhatWasFedAndNoMore) {
  std::vector<Item> items = SomeItems(9);
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].request.sampling.frequency_penalty = 0.1;
    items[i].request.stop_tokens = {static_cast<int32_t>(i * 7 % 97), static_cast<int32_t>(i * 11 % 97), 50,
                                    60};
    if (i % 3 == 1) items[i].controller = Meddling(i, false);
    if (i % 4 == 2) items[i].cancel_after = 5;
  }
  ExpectSameAsOneStep(GetParam(), {.max_sequences = 2, .kv_blocks = {40, 40}}, items);
  // Preempted, their counts are made anew from what was kept and what is fed again.
  for (Item& item : items) item.request.max_new_tokens = 60;
  ExpectSameAsOneStep(GetParam(), {.kv_blocks = {12, 24}}, items, {}, {.same_totals = false});
}

TEST_P(TwoSteps, CancelledWhileTheNextStepRuns) {
  for (int64_t after = 0; after < 12; ++after) {
    std::vector<Item> items = SomeItems(7);
    for (size_t i = 0; i < items.size(); ++i) {
      if (i % 2 == 0) items[i].cancel_after = after + static_cast<int64_t>(i);
    }
    ExpectSameAsOneStep(GetParam(), {.kv_blocks = {40, 48}}, items);
  }
}

// What is kept of a request that ended, however it did, is what another can resume from.
TEST_P(TwoSteps, PrefixesAreKeptUpToWhatWasComputed) {
  for (const int64_t cancel_after : {-1, 3, 31, 32, 33, 40}) {
    for (const bool stop : {false, true}) {
      std::vector<std::vector<int64_t>> reused(2);
      std::vector<std::vector<int32_t>> texts(2);
      for (const size_t mode : {size_t{0}, size_t{1}}) {
        const FakeOptions fake{.max_context = 2048, .kv_windows = {0, 40}, .kv_blocks = {64, 64}};
        const FakeExecutor expected(fake);
        const auto executor = (mode == 0 ? kOneStep : GetParam()).Make(fake);
        Engine engine(*executor);
        std::vector<int32_t> prompt = Prompt(61, 1);
        for (int turn = 0; turn < 4; ++turn) {
          Item item = MakeItem(prompt, 50);
          if (stop) item.request.stop_tokens = {expected.Expected(prompt, 38).back()};
          const RequestId id = *engine.Submit(item.request);
          Said said;
          while (!said.finished) {
            engine.Step();
            Take(engine, id, said);
            ASSERT_TRUE(engine.Intact());
            if (cancel_after >= 0 && static_cast<int64_t>(said.tokens.size()) >= cancel_after)
              engine.Cancel(id), Take(engine, id, said);
          }
          EXPECT_EQ(said.tokens, expected.Expected(prompt, static_cast<int64_t>(said.tokens.size())));
          reused[mode].push_back(said.stats().reused_tokens);
          texts[mode].insert(texts[mode].end(), said.tokens.begin(), said.tokens.end());
          prompt.insert(prompt.end(), said.tokens.begin(), said.tokens.end());
          prompt.push_back(turn);
        }
        EXPECT_GT(reused[mode][1], 0);
      }
      EXPECT_EQ(reused[0], reused[1]);
      EXPECT_EQ(texts[0], texts[1]);
    }
  }
}

TEST_P(TwoSteps, ManyShareAPrefixWhileItRuns) {
  std::vector<Item> items;
  for (int32_t i = 0; i < 12; ++i) {
    std::vector<int32_t> prompt = Prompt(70, 5);
    const auto rest = Prompt(static_cast<size_t>(1 + 3 * i), static_cast<uint32_t>(i));
    prompt.insert(prompt.end(), rest.begin(), rest.end());
    items.push_back(MakeItem(prompt, 10 + i));
    items.back().submit_at = i * 3;
    if (i % 5 == 4) items.back().cancel_after = 6;
  }
  const auto ran = ExpectSameAsOneStep(GetParam(), {.kv_blocks = {64, 64}}, items, {.chunk_tokens = 32},
                                       {.same_rows = false, .same_totals = false});
  int64_t reused = 0;
  for (const Said& said : ran.said) reused += said.stats().reused_tokens;
  EXPECT_GT(reused, 300);
}

TEST_P(TwoSteps, PreemptionWaitsForTheRunningStep) {
  for (const int32_t blocks : {9, 10, 11, 13}) {
    std::vector<Item> items;
    for (int32_t i = 0; i < 5; ++i) {
      items.push_back(MakeItem(Prompt(80, static_cast<uint32_t>(i)), 100));
      items.back().request.prompt[0] = i;
      items.back().submit_at = 7 * i;
    }
    const auto ran =
        ExpectSameAsOneStep(GetParam(), {.kv_blocks = {blocks, 24}}, items, {}, {.same_totals = false});
    int64_t preemptions = 0;
    for (const Said& said : ran.said) preemptions += said.stats().preemptions;
    EXPECT_GT(preemptions, 0);
    if (GetParam().steps_in_flight == 2) {
      EXPECT_GT(ran.ahead, ran.steps / 2);
    }
  }
}

TEST_P(TwoSteps, MemoryThatRunsOut) {
  const auto ran = ExpectSameAsOneStep(GetParam(), {.kv_blocks = {3, 24}}, {MakeItem(Prompt(80, 1), 100)});
  EXPECT_EQ(ran.said[0].finished->reason, StopReason::kContextFull);
  EXPECT_EQ(ran.said[0].tokens.size(), 17u);
}

TEST_P(TwoSteps, GuessesAndStepsAheadTakeTurns) {
  int64_t accepted = 0, ahead = 0;
  for (const bool looping : {false, true}) {
    FakeOptions fake{.vocab_size = 5};
    if (looping) fake.kv_windows = {4, 4};
    std::vector<Item> items;
    for (uint32_t i = 0; i < 6; ++i) {
      items.push_back(MakeItem(Prompt(3 + 5 * i, i, 5), 120));
      if (i % 3 == 2) items.back().controller = Meddling(i, i % 2 == 0, 5);
      items.back().request.stop_tokens = {};
    }
    for (const int32_t drafts : {1, 4, 15}) {
      for (const int32_t match : {1, 3, 8}) {
        SpeculationOptions speculation = SpeculationOptions::Fixed(drafts);
        speculation.min_match = match;
        const auto ran = ExpectSameAsOneStep(GetParam(), fake, items, {.speculation = speculation},
                                             {.same_rows = false, .same_totals = false});
        for (const Said& said : ran.said) accepted += said.stats().accepted_tokens;
        ahead += ran.ahead;
      }
    }
    ExpectSameAsOneStep(GetParam(), fake, items, {.speculation = SpeculationOptions::Auto()},
                        {.same_rows = false, .same_totals = false});
  }
  EXPECT_GT(accepted, 1000);
  if (GetParam().steps_in_flight == 2) {
    EXPECT_GT(ahead, 400);
  }
}

TEST_P(TwoSteps, RowsThatAreNotFiniteEndTheirRequestAlone) {
  int64_t damaged = 0;
  for (uint32_t salt = 0; salt < 12; ++salt) {
    FakeOptions fake;
    fake.damaged_every = 60;
    std::vector<Item> items = SomeItems(6);
    for (size_t i = 0; i < items.size(); ++i) {
      items[i].request.prompt[1] = static_cast<int32_t>(salt);
      if (i % 2 == 1) items[i].controller = Meddling(salt + i, false);  // a void draw may be damaged
    }
    const auto ran = ExpectSameAsOneStep(GetParam(), fake, items);
    for (const Said& said : ran.said) damaged += said.finished->reason == StopReason::kError;
  }
  EXPECT_GT(damaged, 10);
}

// The KV of a prompt whose logits are not finite is for nobody.
TEST_P(TwoSteps, ADamagedPromptIsNotKept) {
  const auto executor = GetParam().Make({}, [](int64_t step) { return step == 0; });
  Engine engine(*executor);
  for (int turn = 0; turn < 2; ++turn) {
    const RequestId id = *engine.Submit(MakeItem(Prompt(50, 1), 5).request);
    Said said;
    while (engine.Step()) {
    }
    Take(engine, id, said);
    EXPECT_EQ(said.finished->reason, turn == 0 ? StopReason::kError : StopReason::kLength);
    EXPECT_EQ(said.stats().reused_tokens, 0);
  }
}

// A step that fails ends those that run in it, after the tokens of the step before; nobody else.
TEST_P(TwoSteps, AFailedStepComesInItsTurn) {
  for (int64_t failing = 0; failing < 12; ++failing) {
    const auto fails = [failing](int64_t step) -> bool {
      if (step == failing) throw std::runtime_error("device lost");
      return false;
    };
    const std::vector<Item> items = {MakeItem(Prompt(10, 1), 10)};
    const auto one = kOneStep.Make({}, fails), two = GetParam().Make({}, fails);
    const Ran expected = RunScript(*one, items), actual = RunScript(*two, items);
    ExpectSame(actual.said[0], expected.said[0], true);
    EXPECT_EQ(actual.said[0].tokens.size(), static_cast<size_t>(std::min<int64_t>(failing, 10)));
  }
}

// The first request fills step n, whose failure shows when step n+1 with the second one is under way.
TEST_P(TwoSteps, TheStepBehindAFailedOneCountsForOthers) {
  const FakeExecutor expected({});
  for (const int64_t failing : {0, 1}) {
    const auto executor = GetParam().Make({}, [failing](int64_t step) -> bool {
      if (step == failing) throw std::runtime_error("device lost");
      return false;
    });
    Engine engine(*executor, {.chunk_tokens = 64});
    Said a, b;
    const RequestId first = *engine.Submit(MakeItem(Prompt(60, 1), 30).request);
    const RequestId second = *engine.Submit(MakeItem(Prompt(60, 2), 30).request);  // beyond the step's rows
    while (engine.Step()) EXPECT_TRUE(engine.Intact());
    Take(engine, first, a);
    Take(engine, second, b);
    EXPECT_EQ(a.finished->reason, StopReason::kError);
    EXPECT_EQ(a.finished->error->message, "device lost");
    if (failing == 0) {
      // Four rows of the second were in step 0 as well.
      EXPECT_EQ(b.finished->reason, StopReason::kError);
    }
    const RequestId third = *engine.Submit(MakeItem(Prompt(60, 3), 30).request);
    while (engine.Step()) EXPECT_TRUE(engine.Intact());
    Said c;
    Take(engine, third, c);
    EXPECT_EQ(c.tokens, expected.Expected(Prompt(60, 3), 30));
  }
  // With the step filled by the first alone, the second one is in the step behind.
  const auto executor = GetParam().Make({}, [](int64_t step) -> bool {
    if (step == 0) throw std::runtime_error("device lost");
    return false;
  });
  Engine engine(*executor);
  Said a, b;
  const RequestId first = *engine.Submit(MakeItem(Prompt(64, 1), 30).request);
  const RequestId second = *engine.Submit(MakeItem(Prompt(60, 2), 30).request);
  while (engine.Step()) EXPECT_TRUE(engine.Intact());
  Take(engine, first, a);
  Take(engine, second, b);
  EXPECT_EQ(a.finished->reason, StopReason::kError);
  EXPECT_EQ(b.finished->reason, StopReason::kLength);
  EXPECT_EQ(b.tokens, expected.Expected(Prompt(60, 2), 30));
}

// --- What belongs to one request

enum class Thrower : uint8_t { kOnToken, kNextMask, kObserver, kSink, kTap };

class Throwing final : public TokenController, public RoutingObserver, public LogitsSink, public TapSink {
 public:
  explicit Throwing(Thrower where) : where_(where) {}
  Verdict OnToken(int32_t) override {
    Maybe(Thrower::kOnToken);
    return {};
  }
  const TokenMask* NextMask() override {
    Maybe(Thrower::kNextMask);
    return nullptr;
  }
  bool MayMask() const override { return where_ == Thrower::kNextMask; }
  void OnRows(const ObservedRows&) override { Maybe(Thrower::kObserver); }
  void Row(int64_t, std::span<const float>) override { Maybe(Thrower::kSink); }
  void Tap(std::string_view, int32_t, std::span<const float>, int64_t) override { Maybe(Thrower::kTap); }

 private:
  void Maybe(Thrower where) {
    if (where == where_ && ++calls_ > 4) throw std::runtime_error("mine");
  }
  Thrower where_;
  int calls_ = 0;
};

TEST_P(TwoSteps, WhatThrowsEndsItsOwnRequest) {
  for (const Thrower where :
       {Thrower::kOnToken, Thrower::kNextMask, Thrower::kObserver, Thrower::kSink, Thrower::kTap}) {
    for (const bool guesses : {false, true}) {
      std::vector<Item> items = SomeItems(4, 5);
      const FakeOptions fake{.vocab_size = 5};
      const FakeExecutor expected(fake);
      const auto throwing = std::make_shared<Throwing>(where);
      Request& request = items[1].request;
      request.max_new_tokens = 400;
      if (where == Thrower::kOnToken || where == Thrower::kNextMask) request.controller = throwing;
      if (where == Thrower::kObserver) request.routing_observers = {throwing.get()};
      if (where == Thrower::kSink) request.logits = throwing.get();
      if (where == Thrower::kTap) request.taps = throwing.get();
      EngineOptions options;
      if (guesses) options.speculation = SpeculationOptions::Fixed(3);
      const auto executor = GetParam().Make(fake);
      const Ran ran = RunScript(*executor, items, options);
      for (size_t i = 0; i < items.size(); ++i) {
        SCOPED_TRACE(fmt::format("thrower {}, request {}", static_cast<int>(where), i));
        if (i == 1) {
          ASSERT_EQ(ran.said[i].finished->reason, StopReason::kError);
          EXPECT_EQ(ran.said[i].finished->error->kind, ErrorKind::kRequestFailed);
          EXPECT_EQ(ran.said[i].finished->error->message, "mine");
          EXPECT_LT(ran.said[i].tokens.size(), 30u);
        } else {
          EXPECT_EQ(ran.said[i].tokens,
                    expected.Expected(items[i].request.prompt, items[i].request.max_new_tokens));
        }
      }
    }
  }
}

// Allows one token, the next one less, ... and then none.
class Narrowing final : public TokenController {
 public:
  Narrowing() : mask_(97, true) {}
  Verdict OnToken(int32_t) override {
    if (++seen_ == 5) mask_ = TokenMask(97, false);
    return {};
  }
  const TokenMask* NextMask() override { return &mask_; }

 private:
  TokenMask mask_;
  int seen_ = 0;
};

TEST_P(TwoSteps, AnEmptyMaskEndsItsRequest) {
  std::vector<Item> items = SomeItems(3);
  items[1].controller = [] { return std::make_shared<Narrowing>(); };
  const auto ran = ExpectSameAsOneStep(GetParam(), {}, items);
  EXPECT_EQ(ran.said[1].finished->reason, StopReason::kError);
  EXPECT_EQ(ran.said[1].tokens.size(), 5u);
  EXPECT_EQ(ran.said[2].finished->reason, StopReason::kLength);
}

TEST_P(TwoSteps, EverySinkOfAStepGetsItsTaps) {
  class Count final : public TapSink {
   public:
    void Tap(std::string_view, int32_t, std::span<const float>, int64_t) override { ++taps; }
    int64_t taps = 0;
  } first, second;
  std::vector<Item> items = {MakeItem(Prompt(5, 1), 20), MakeItem(Prompt(5, 2), 30)};
  items[0].request.taps = &first;
  items[1].request.taps = &second;
  const auto executor = GetParam().Make({});
  RunScript(*executor, items);
  EXPECT_EQ(first.taps, 20);
  EXPECT_EQ(second.taps, 30);
}

TEST_P(TwoSteps, RowsOfLogitsAreShownOnceAndOfTokensThatCount) {
  class Rows final : public LogitsSink {
   public:
    void Row(int64_t position, std::span<const float>) override { positions.push_back(position); }
    std::vector<int64_t> positions;
  } rows;
  std::vector<Item> items = SomeItems(4);
  items[2].request.logits = &rows;
  items[2].request.stop_tokens = {3, 14, 15, 92, 65};
  const auto executor = GetParam().Make({});
  const Ran ran = RunScript(*executor, items);
  std::vector<int64_t> expected;
  for (size_t p = 0; p + 1 < items[2].request.prompt.size() + ran.said[2].tokens.size(); ++p)
    expected.push_back(static_cast<int64_t>(p));
  EXPECT_EQ(rows.positions, expected);
}

TEST(TwoStepsRefusal, WhatTheDeviceCannotDo) {
  class Observer final : public RoutingObserver {
   public:
    explicit Observer(bool logits) : logits_(logits) {}
    bool wants_logits() const override { return logits_; }
    void OnRows(const ObservedRows&) override {}

   private:
    bool logits_;
  } plain(false), detailed(true);
  class Sink final : public LogitsSink, public TapSink {
   public:
    void Row(int64_t, std::span<const float>) override {}
    void Tap(std::string_view, int32_t, std::span<const float>, int64_t) override {}
  } sink;
  const struct {
    std::function<void(ExecutorAbilities&)> cannot;
    std::function<void(Request&)> ask;
  } rows[] = {
      {[](auto& can) { can.routing_rules = {&TopKRouting()}; },
       [](auto& r) { r.routing.strategy = FindRoutingStrategy("expert1"); }},
      {[](auto& can) { can.capacity = false; }, [](auto& r) { r.routing.capacity_factor = 1.0; }},
      {[](auto& can) { can.routing = false; }, [&](auto& r) { r.routing_observers = {&plain}; }},
      {[](auto& can) { can.router_logits = false; }, [&](auto& r) { r.routing_observers = {&detailed}; }},
      {[](auto& can) { can.masks = false; }, [](auto& r) { r.mask = std::make_shared<TokenMask>(97, true); }},
      {[](auto& can) { can.masks = false; }, [](auto& r) { r.controller = std::make_shared<Narrowing>(); }},
      {[](auto& can) { can.penalties = false; }, [](auto& r) { r.sampling.presence_penalty = 1.0; }},
      {[](auto& can) { can.top_logprobs = -1; }, [](auto& r) { r.top_logprobs = 0; }},
      {[](auto& can) { can.top_logprobs = -1; }, [](auto& r) { r.score_prompt = true; }},
      {[](auto& can) { can.top_logprobs = 20; }, [](auto& r) { r.top_logprobs = 21; }},
      {[](auto& can) { can.logits_sinks = false; }, [&](auto& r) { r.logits = &sink; }},
      {[](auto& can) { can.taps = false; }, [&](auto& r) { r.taps = &sink; }},
      {[](auto&) {}, [](auto& r) { r.adapter = 0; }},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(&row - rows);
    FakeOptions fake;
    Request request;
    request.prompt = {1, 2, 3};
    request.max_new_tokens = 4;
    const Request modest = request;
    row.ask(request);
    if (request.adapter < 0) {  // a device that can does
      FakeExecutor executor(fake);
      Engine engine(executor);
      EXPECT_TRUE(engine.Submit(request).has_value());
    }
    row.cannot(fake.can);
    FakeExecutor executor(fake);
    Engine engine(executor);
    const auto id = engine.Submit(modest);
    const auto refused = engine.Submit(request);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
    while (engine.Step()) {
    }
    Said said;
    Take(engine, *id, said);
    EXPECT_EQ(said.tokens, executor.Expected({1, 2, 3}, 4));
  }
}

TEST(TwoStepsRefusal, RoutingAndAdaptersOutOfRange) {
  FakeOptions fake;
  fake.can.adapters = 2;
  FakeExecutor executor(fake);
  Engine engine(executor);
  const auto kind = [&](const std::function<void(Request&)>& ask) {
    Request request;
    request.prompt = {1};
    request.max_new_tokens = 1;
    ask(request);
    const auto id = engine.Submit(request);
    return id ? ErrorKind::kInternal : id.error().kind;
  };
  EXPECT_EQ(kind([](Request& r) { r.adapter = 2; }), ErrorKind::kUsage);
  EXPECT_EQ(kind([](Request& r) { r.adapter = -2; }), ErrorKind::kUsage);
  EXPECT_EQ(kind([](Request& r) { r.routing.experts_per_token = 5; }), ErrorKind::kUsage);
  EXPECT_EQ(kind([](Request& r) { r.routing.num_experts = -1; }), ErrorKind::kUsage);
  EXPECT_EQ(kind([](Request& r) { r.routing.capacity_factor = std::nan(""); }), ErrorKind::kUsage);
  EXPECT_EQ(kind([](Request& r) { r.routing.strategy = nullptr; }), ErrorKind::kUsage);
  EXPECT_EQ(kind([](Request&) {}), ErrorKind::kInternal);
}

TEST_P(TwoSteps, AdaptersShareNoKeysAndValues) {
  FakeOptions fake;
  fake.can.adapters = 2;
  std::vector<Item> items;
  for (const int32_t adapter : {-1, 0, 1, 0, -1}) {
    items.push_back(MakeItem(Prompt(70, 1), 20));
    items.back().request.adapter = adapter;
    items.back().submit_at = 40 * static_cast<int64_t>(items.size());
  }
  const auto executor = GetParam().Make(fake);
  const Ran ran = RunScript(*executor, items);
  EXPECT_EQ(ran.said[0].tokens, ran.said[4].tokens);
  EXPECT_EQ(ran.said[1].tokens, ran.said[3].tokens);
  EXPECT_NE(ran.said[0].tokens, ran.said[1].tokens);
  EXPECT_NE(ran.said[1].tokens, ran.said[2].tokens);
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}}) EXPECT_EQ(ran.said[i].stats().reused_tokens, 0);
  for (const size_t i : {size_t{3}, size_t{4}}) EXPECT_EQ(ran.said[i].stats().reused_tokens, 69);
}

// More rules in one step than a byte can tell apart.
TEST_P(TwoSteps, ManyPoliciesInOneStep) {
  constexpr int32_t kMany = 300;
  const FakeOptions fake{
      .max_context = 32, .max_sequences = kMany, .max_step_tokens = kMany, .kv_blocks = {kMany, kMany}};
  const auto executor = GetParam().Make(fake);
  size_t most = 0;
  executor->on_batch = [&](const StepBatch& batch) {
    most = std::max(most, batch.policies.size());
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      const auto first = static_cast<size_t>(batch.query_start[static_cast<size_t>(s)]);
      // The prompt's only token says which policy it came with.
      if (batch.positions[first] != 0) continue;
      const auto policy = static_cast<size_t>(batch.policy[static_cast<size_t>(s)]);
      ASSERT_EQ(batch.policies[policy].num_experts % 97, batch.token_ids[first]);
    }
  };
  std::vector<Item> items;
  for (int32_t i = 0; i < kMany; ++i) {
    items.push_back(MakeItem({(i + 1) % 97}, 5));
    items.back().request.routing.num_experts = i + 1;
  }
  const Ran ran = RunScript(*executor, items);
  EXPECT_EQ(most, static_cast<size_t>(kMany));
  for (const Said& said : ran.said) EXPECT_EQ(said.tokens.size(), 5u);
}

// --- The engine and its queue

TEST_P(TwoSteps, SomethingHasItsMomentBetweenSteps) {
  const auto executor = GetParam().Make({});
  Engine engine(*executor);
  int64_t moments = 0;
  engine.AfterSteps(10, [&] {
    ++moments;
    EXPECT_EQ(executor->in_flight, 0);
  });
  const RequestId id = *engine.Submit(MakeItem(Prompt(5, 1), 100).request);
  while (engine.Step()) {
  }
  EXPECT_EQ(moments, 10);
  if (GetParam().steps_in_flight == 2) {
    EXPECT_GE(executor->ahead, 85);
  }
  Said said;
  Take(engine, id, said);
  EXPECT_EQ(said.tokens, FakeExecutor({}).Expected(Prompt(5, 1), 100));
}

TEST_P(TwoSteps, AnEngineThatGoesWaitsForItsSteps) {
  const auto executor = GetParam().Make({});
  for (int32_t calls = 0; calls < 6; ++calls) {
    {
      Engine engine(*executor);
      Item item = MakeItem(Prompt(5, 1), 100);
      item.request.controller = Meddling(3, true)();
      EXPECT_TRUE(engine.Submit(item.request).has_value());
      EXPECT_TRUE(engine.Submit(MakeItem(Prompt(70, 1), 100).request).has_value());
      for (int32_t i = 0; i < calls; ++i) engine.Step();
    }
    EXPECT_EQ(executor->in_flight, 0);
  }
}

TEST_P(TwoSteps, OneAtATimeWhereItIsAskedFor) {
  const auto executor = GetParam().Make({});
  const Ran ran = RunScript(*executor, SomeItems(4), {.steps_in_flight = 1});
  EXPECT_EQ(ran.ahead, 0);
}

TEST_P(TwoSteps, ARequestForgottenWhileItsRowsRun) {
  const auto executor = GetParam().Make({});
  Engine engine(*executor);
  for (int32_t i = 0; i < 20; ++i) {
    Request request = MakeItem(Prompt(5, static_cast<uint32_t>(i)), 100).request;
    request.controller = Meddling(2, GetParam().late_masks)();
    const std::weak_ptr<TokenController> controller = request.controller;
    const RequestId id = *engine.Submit(std::move(request));
    Said said;
    while (said.tokens.size() < 2) {
      engine.Step();
      Take(engine, id, said);
    }
    engine.TakeChanged();
    engine.Cancel(id);
    const auto changed = engine.TakeChanged();
    EXPECT_EQ(std::vector(changed.begin(), changed.end()), std::vector{id});
    Take(engine, id, said);
    EXPECT_GE(said.tokens.size(), 2u);
    EXPECT_TRUE(said.finished.has_value());
    EXPECT_EQ(controller.expired(), executor->in_flight == 0) << "its rows run, and hold what they need";
    EXPECT_TRUE(engine.TakeEvents(id).empty());
    EXPECT_EQ(engine.idle(), GetParam().steps_in_flight == 1);
  }
  EXPECT_FALSE(engine.Step());
  EXPECT_TRUE(engine.idle());
  EXPECT_TRUE(engine.TakeChanged().empty());
}

// Random requests of all kinds; each must give what it gives alone, one step at a time.
TEST_P(TwoSteps, RandomCompany) {
  int64_t preemptions = 0, accepted = 0, errors = 0, cancelled = 0, forced = 0, reused = 0;
  for (uint32_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    const auto draw = [&](int32_t low, int32_t high) {
      return std::uniform_int_distribution<int32_t>(low, high)(random);
    };
    FakeOptions fake{.vocab_size = seed % 3 == 0 ? 5 : 97};
    if (seed % 2 == 0) fake.damaged_every = 300;
    fake.can.adapters = 1;
    const bool shared = seed % 2 == 1;  // beginnings
    const bool unlike = !shared && fake.vocab_size > 40;
    std::vector<Item> items;
    for (int32_t i = 0; i < 40; ++i) {
      const auto salt = static_cast<uint32_t>(shared ? draw(0, 4) : i);
      Item item = MakeItem(Prompt(static_cast<size_t>(draw(1, 150)), salt, fake.vocab_size), draw(0, 60));
      if (unlike) item.request.prompt[0] = i;
      if (shared && draw(0, 1) == 0) item.request.prompt.push_back(draw(0, fake.vocab_size - 1));
      if (draw(0, 3) == 0)
        item.controller = Meddling(static_cast<uint64_t>(draw(0, 999)), draw(0, 1) == 0, fake.vocab_size);
      if (draw(0, 3) == 0) item.request.stop_tokens = {draw(0, fake.vocab_size - 1)};
      if (draw(0, 5) == 0) item.request.sampling.presence_penalty = 0.5;
      if (draw(0, 7) == 0) item.request.routing.capacity_factor = 2.0;
      if (draw(0, 7) == 0) item.request.adapter = 0;
      if (draw(0, 3) == 0) item.cancel_after = draw(1, 20);
      // A damaged row of a prompt ends its request with the chunk, wherever that is cut.
      item.request.score_prompt = draw(0, 7) == 0 && fake.damaged_every == 0;
      item.request.priority = draw(0, 1);
      item.submit_at = i * draw(0, 6);
      items.push_back(std::move(item));
    }
    std::sort(items.begin(), items.end(),
              [](const Item& a, const Item& b) { return a.submit_at < b.submit_at; });
    std::vector<Said> alone;
    for (Item item : items) {
      item.submit_at = 0;
      const auto executor = kOneStep.Make(fake);
      alone.push_back(std::move(RunScript(*executor, {item}).said[0]));
    }
    fake.max_sequences = draw(1, 6);
    fake.max_step_tokens = draw(8, 64);
    fake.kv_blocks = {draw(12, 30), 64};
    EngineOptions options{.chunk_tokens = draw(0, 40)};
    if (draw(0, 1) == 0) {
      options.speculation = SpeculationOptions::Fixed(draw(1, 12));
      options.speculation.min_match = draw(1, 3);
    }
    const auto executor = GetParam().Make(fake);
    const Ran ran = RunScript(*executor, items, options);
    for (size_t i = 0; i < items.size(); ++i) {
      SCOPED_TRACE(fmt::format("request {}", i));
      const Said& said = ran.said[i];
      // A reader who cancels has seen more where several tokens came from one step.
      const bool guessed =
          items[i].cancel_after >= 0 && options.speculation.mode != SpeculationOptions::Mode::kOff;
      if (guessed) {
        ASSERT_GE(said.tokens.size(), alone[i].tokens.size());
        EXPECT_TRUE(std::equal(alone[i].tokens.begin(), alone[i].tokens.end(), said.tokens.begin()));
      } else {
        ExpectSame(said, alone[i], false);
      }
      if (unlike && !guessed) {
        const auto counted = said.stats().routing.layers(), expected = alone[i].stats().routing.layers();
        for (size_t l = 0; l < counted.size(); ++l) EXPECT_EQ(counted[l].counts, expected[l].counts);
      }
      preemptions += said.stats().preemptions;
      accepted += said.stats().accepted_tokens;
      reused += said.stats().reused_tokens;
      errors += said.finished->reason == StopReason::kError;
      cancelled += said.finished->reason == StopReason::kCancelled;
      forced += std::count(said.forced.begin(), said.forced.end(), true);
    }
  }
  EXPECT_GT(preemptions, 20);
  EXPECT_GT(accepted, 100);
  EXPECT_GT(reused, 1000);
  EXPECT_GT(errors, 20);
  EXPECT_GT(cancelled, 50);
  EXPECT_GT(forced, 500);
}

// Steps that fail, at Submit or at Wait, and steps whose logits are damaged: what a request said until then
// is right, and the others go on.
TEST_P(TwoSteps, RandomFailures) {
  int64_t completed = 0, failed = 0;
  for (uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed), fate(seed + 100);
    const auto draw = [&](int32_t low, int32_t high) {
      return std::uniform_int_distribution<int32_t>(low, high)(random);
    };
    const FakeOptions fake{.max_sequences = draw(1, 6), .kv_blocks = {draw(12, 40), 64}};
    std::vector<Item> items;
    for (int32_t i = 0; i < 60; ++i) {
      items.push_back(MakeItem(Prompt(static_cast<size_t>(draw(1, 200)), static_cast<uint32_t>(draw(0, 5))),
                               draw(0, 60)));
      items.back().submit_at = 3 * i;
      if (draw(0, 5) == 0) items.back().cancel_after = draw(1, 30);
    }
    const auto executor = GetParam().Make(fake, [fate](int64_t) mutable -> bool {
      const auto what = fate() % 100;
      if (what == 0) throw std::runtime_error("planted");
      return what == 1;
    });
    const FakeExecutor expected(fake);
    const Ran ran = RunScript(*executor, items, {.chunk_tokens = draw(0, 40)});
    for (size_t i = 0; i < items.size(); ++i) {
      const Said& said = ran.said[i];
      EXPECT_EQ(said.tokens,
                expected.Expected(items[i].request.prompt, static_cast<int64_t>(said.tokens.size())));
      completed += said.finished->reason == StopReason::kLength;
      failed += said.finished->reason == StopReason::kError;
    }
  }
  EXPECT_GT(completed, 200);
  EXPECT_GT(failed, 20);
}

}  // namespace
}  // namespace oxidized
