// Many conversations behind one long system message: each later one resumes behind it, whether they come one
// after the other or all at once, and with less memory than they need together.
#include <gtest/gtest.h>

#include <stdexcept>

#include "engine/engine.h"
#include "executor/testing/fake_executor.h"

namespace oxidized {
namespace {

constexpr int64_t kSystem = 2000;  // tokens of the message
constexpr int64_t kReused = 1968;  // at least, of each later conversation

FakeOptions Sized(int32_t steps_in_flight = 1) {
  return {.max_context = 4096,
          .max_sequences = 8,
          .max_step_tokens = 512,
          .kv_windows = {0, 128},
          .kv_blocks = {160, 120},
          .steps_in_flight = steps_in_flight};
}

// The message, then something of its own.
Request Conversation(int32_t number, bool keep = true) {
  Request request;
  for (int64_t i = 0; i < kSystem; ++i) request.prompt.push_back(static_cast<int32_t>((i * i + i / 7) % 97));
  request.prompt.insert(request.prompt.end(), {number % 97, number / 97});
  for (int32_t i = 0; i < 20 + number % 60; ++i) request.prompt.push_back((number + i * 5) % 97);
  request.max_new_tokens = 1 + number % 9;
  if (keep) request.keep_at = {kSystem};
  return request;
}

struct Said {
  std::vector<int32_t> tokens;
  Finished finished;
};

Said Take(Engine& engine, RequestId id) {
  Said said;
  for (Event& event : engine.TakeEvents(id)) {
    if (auto* token = std::get_if<GeneratedToken>(&event)) said.tokens.push_back(token->token);
    if (auto* finished = std::get_if<Finished>(&event)) said.finished = std::move(*finished);
  }
  return said;
}

void ExpectRight(const FakeExecutor& executor, const Request& request, const Said& said) {
  EXPECT_EQ(said.finished.reason, StopReason::kLength);
  EXPECT_EQ(said.tokens, executor.Expected(request.prompt, request.max_new_tokens));
}

TEST(PrefixReuse, AThousandConversationsOneAfterTheOther) {
  FakeExecutor executor(Sized());
  Engine engine(executor);
  for (int32_t i = 0; i < 1000; ++i) {
    const Request request = Conversation(i);
    const RequestId id = *engine.Submit(request);
    while (engine.Step()) {
    }
    const Said said = Take(engine, id);
    ExpectRight(executor, request, said);
    if (i > 0) {
      ASSERT_GE(said.finished.stats.reused_tokens, kReused) << i;
    }
    if (i % 100 == 0) {
      ASSERT_TRUE(engine.Intact()) << i;
    }
  }
  EXPECT_LE(engine.prefix_nodes(), 160);
}

TEST(PrefixReuse, AThousandConversationsTogether) {
  for (const int32_t steps : {1, 2}) {
    FakeExecutor executor(Sized(steps));
    Engine engine(executor, {.steps_in_flight = steps});
    std::vector<RequestId> ids;
    for (int32_t i = 0; i < 1000; ++i) ids.push_back(*engine.Submit(Conversation(i)));
    for (int64_t step = 0; engine.Step(); ++step) {
      if (step % 100 == 0) {
        ASSERT_TRUE(engine.Intact()) << step;
      }
    }
    ASSERT_TRUE(engine.Intact());
    int64_t computed = 0;
    int32_t alone = 0;
    for (int32_t i = 0; i < 1000; ++i) {
      const Said said = Take(engine, ids[static_cast<size_t>(i)]);
      ExpectRight(executor, Conversation(i), said);
      alone += said.finished.stats.reused_tokens < kReused;
      computed += said.finished.stats.prompt_tokens - said.finished.stats.reused_tokens;
      EXPECT_EQ(said.finished.stats.preemptions, 0);
    }
    EXPECT_EQ(alone, 1);
    EXPECT_LT(computed, kSystem + 1000 * (20 + 60 + 2 + 32));
    EXPECT_LE(engine.prefix_nodes(), 160);
  }
}

// With so little sliding memory that what slides by is soon needed. Where nobody says where the message ends,
// the second conversation finds no window there, and leaves one at the fork.
TEST(PrefixReuse, AWindowIsKeptWhereTheMessageEndsOrPathsFork) {
  for (const bool keep : {true, false}) {
    FakeOptions options = Sized();
    options.kv_blocks[1] = 24;
    FakeExecutor executor(options);
    Engine engine(executor);
    for (int32_t i = 0; i < 8; ++i) {
      Request request = Conversation(i, keep);
      // So long that its end's window does not reach back to the message.
      request.prompt.insert(request.prompt.end(), 800, i);
      const RequestId id = *engine.Submit(request);
      while (engine.Step()) ASSERT_TRUE(engine.Intact());
      const Said said = Take(engine, id);
      ExpectRight(executor, request, said);
      if (i > (keep ? 0 : 1)) {
        EXPECT_GE(said.finished.stats.reused_tokens, kReused) << i;
      } else {
        EXPECT_LT(said.finished.stats.reused_tokens, kReused) << i;
      }
    }
  }
}

// Also where one step reads the message's end and the prompt's: the window behind the message outlives
// another text that needs what else there is of sliding memory.
TEST(PrefixReuse, AWindowIsKeptWhereMessageAndPromptEndInOneStep) {
  FakeOptions options = Sized();
  options.max_step_tokens = 4096;
  options.kv_blocks = {300, 108};
  FakeExecutor executor(options);
  Engine engine(executor);
  for (int32_t i = 0; i < 3; ++i) {
    Request request = Conversation(i, i != 1);
    request.prompt.insert(request.prompt.end(), 800, i);
    if (i == 1) request.prompt[0] = 5;
    const RequestId id = *engine.Submit(request);
    while (engine.Step()) ASSERT_TRUE(engine.Intact());
    const Said said = Take(engine, id);
    ExpectRight(executor, request, said);
    if (i == 2) {
      EXPECT_GE(said.finished.stats.reused_tokens, kReused);
    }
  }
}

// Who is waited for may go at any time, for any reason.
TEST(PrefixReuse, WhoWaitsGoesOnWhenTheOtherIsGone) {
  for (const bool cancel : {true, false}) {
    FakeExecutor executor(Sized());
    if (!cancel) {
      executor.on_step = [](int64_t step) {
        if (step == 2) throw std::runtime_error("planted");
        return false;
      };
    }
    Engine engine(executor);
    std::vector<RequestId> ids;
    for (int32_t i = 0; i < 6; ++i) ids.push_back(*engine.Submit(Conversation(i)));
    engine.Step();
    engine.Step();
    if (cancel) engine.Cancel(ids[0]);
    while (engine.Step()) ASSERT_TRUE(engine.Intact());
    EXPECT_EQ(Take(engine, ids[0]).finished.reason, cancel ? StopReason::kCancelled : StopReason::kError);
    int32_t computed_most = 0;
    for (int32_t i = 1; i < 6; ++i) {
      const Said said = Take(engine, ids[static_cast<size_t>(i)]);
      ExpectRight(executor, Conversation(i), said);
      computed_most += said.finished.stats.reused_tokens < kReused;
    }
    EXPECT_EQ(computed_most, 1);  // the next one reads on, for all others
  }
}

// What is urgent does not wait for what is not, which waits for its turn in each step.
TEST(PrefixReuse, WhoRunsFirstDoesNotWaitForWhoComesLater) {
  FakeExecutor executor(Sized());
  Engine engine(executor);
  Request later = Conversation(0);
  later.priority = -1;
  const RequestId first = *engine.Submit(later);
  engine.Step();
  const RequestId second = *engine.Submit(Conversation(1));
  while (engine.Step()) ASSERT_TRUE(engine.Intact());
  ExpectRight(executor, later, Take(engine, first));
  const Said said = Take(engine, second);
  ExpectRight(executor, Conversation(1), said);
  EXPECT_EQ(said.finished.stats.reused_tokens, 512);  // what was there when it came
}

TEST(PrefixReuse, WhatBeginsOtherwiseDoesNotWait) {
  FakeExecutor executor(Sized());
  Engine engine(executor);
  const RequestId first = *engine.Submit(Conversation(0));
  Request other = Conversation(1);
  other.prompt[0] = 5;
  other.prompt.resize(20);
  other.keep_at.clear();
  const RequestId id = *engine.Submit(other);
  for (int step = 0; step < 12; ++step) engine.Step();
  EXPECT_FALSE(Take(engine, id).tokens.empty());
  engine.Cancel(first);
}

// Logits that are not finite: nothing that led there is resumed from.
TEST(PrefixReuse, WhatCannotBeTrustedIsNotKept) {
  FakeExecutor executor(Sized());
  bool poison = true;
  executor.on_step = [&](int64_t step) { return poison && step == 3; };  // where the prompt ends
  Engine engine(executor);
  const RequestId id = *engine.Submit(Conversation(0));
  while (engine.Step()) ASSERT_TRUE(engine.Intact());
  EXPECT_EQ(Take(engine, id).finished.reason, StopReason::kError);
  EXPECT_EQ(engine.prefix_nodes(), 0);
  poison = false;
  const RequestId retry = *engine.Submit(Conversation(0));
  while (engine.Step()) {
  }
  const Said said = Take(engine, retry);
  ExpectRight(executor, Conversation(0), said);
  EXPECT_EQ(said.finished.stats.reused_tokens, 0);
}

// Each turn pins windows; a long chat does not fill the sliding memory with them.
TEST(PrefixReuse, ALongChatKeepsWhatItResumesFrom) {
  FakeOptions options = Sized();
  options.kv_blocks = {128, 40};
  FakeExecutor executor(options);
  Engine engine(executor);
  std::vector<int32_t> prompt = Conversation(0).prompt;
  size_t new_tokens = prompt.size();
  for (int32_t turn = 0; turn < 40; ++turn) {
    Request request;
    request.prompt = prompt;
    request.max_new_tokens = 300;  // reasoning, which the next turn drops, and 10 of answer
    const RequestId id = *engine.Submit(request);
    while (engine.Step()) ASSERT_TRUE(engine.Intact());
    const Said said = Take(engine, id);
    ExpectRight(executor, request, said);
    EXPECT_LE(said.finished.stats.prompt_tokens - said.finished.stats.reused_tokens,
              static_cast<int64_t>(new_tokens))
        << turn;
    prompt.insert(prompt.end(), said.tokens.end() - 10, said.tokens.end());
    for (int32_t i = 0; i < 15; ++i) prompt.push_back((turn + i) % 97);
    new_tokens = 25;
  }
}

}  // namespace
}  // namespace oxidized
