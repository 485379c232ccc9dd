// Models whose layers have several windows: a KV group for each, all of which the scheduler has to keep.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "executor/testing/fake_executor.h"

namespace oxidized {
namespace {

std::vector<int32_t> Prompt(size_t length, int32_t salt) {
  std::vector<int32_t> prompt;
  for (size_t i = 0; i < length; ++i)
    prompt.push_back(static_cast<int32_t>((i * 31 + static_cast<size_t>(salt) * 7) % 97));
  return prompt;
}

// Any of the groups may be the one that runs out.
TEST(KvGroups, ThreeWindowsGiveTheTextsOfTheRequestsAlone) {
  for (const std::vector<int32_t>& blocks :
       {std::vector<int32_t>{64, 64, 96}, {20, 64, 96}, {64, 16, 96}, {64, 64, 24}}) {
    FakeExecutor executor({.kv_windows = {0, 40, 100}, .kv_blocks = blocks});
    Engine engine(executor, {.chunk_tokens = 24});
    std::vector<RequestId> ids;
    std::vector<std::vector<int32_t>> expected;
    for (int32_t i = 0; i < 6; ++i) {
      Request request;
      request.prompt = Prompt(static_cast<size_t>(30 + 37 * i), i % 2);  // some begin as others do
      request.max_new_tokens = 150;
      expected.push_back(executor.Expected(request.prompt, request.max_new_tokens));
      ids.push_back(*engine.Submit(std::move(request)));
    }
    while (engine.Step()) ASSERT_TRUE(engine.Intact());
    for (size_t i = 0; i < ids.size(); ++i) {
      std::vector<int32_t> tokens;
      for (const Event& event : engine.TakeEvents(ids[i])) {
        if (const auto* token = std::get_if<GeneratedToken>(&event)) tokens.push_back(token->token);
      }
      EXPECT_EQ(tokens, expected[i]) << "request " << i << ", pools of " << blocks[0] << ", " << blocks[1]
                                     << ", " << blocks[2];
    }
    EXPECT_EQ(engine.KvPools().size(), 3u);
  }
}

TEST(KvGroups, AKeptPrefixHoldsTheWindowOfEachGroup) {
  FakeExecutor executor({.kv_windows = {0, 40, 100}, .kv_blocks = {64, 64, 96}});
  Engine engine(executor);
  std::vector<int32_t> prompt = Prompt(160, 3);
  for (int32_t turn = 0; turn < 3; ++turn) {
    Request request;
    request.prompt = prompt;
    request.max_new_tokens = 20;
    const std::vector<int32_t> expected = executor.Expected(prompt, 20);
    const RequestId id = *engine.Submit(std::move(request));
    while (engine.Step()) ASSERT_TRUE(engine.Intact());
    std::vector<int32_t> tokens;
    for (Event& event : engine.TakeEvents(id)) {
      if (const auto* token = std::get_if<GeneratedToken>(&event)) tokens.push_back(token->token);
      if (const auto* end = std::get_if<Finished>(&event); end != nullptr && turn > 0) {
        EXPECT_GT(end->stats.reused_tokens, 100) << turn;
      }
    }
    EXPECT_EQ(tokens, expected) << turn;
    prompt.insert(prompt.end(), tokens.begin(), tokens.end());
    const std::vector<int32_t> input = Prompt(15, turn);
    prompt.insert(prompt.end(), input.begin(), input.end());
  }
}

}  // namespace
}  // namespace oxidized
