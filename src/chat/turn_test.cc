#include "chat/turn.h"

#include <gtest/gtest.h>

namespace oxidized {
namespace {

TEST(StopStrings, HoldsBackWhatMayBeAStop) {
  StopStrings stops({"END", "\n\n"});
  EXPECT_EQ(stops.Push("abc\n"), "abc");
  EXPECT_EQ(stops.Push("d E"), "\nd ");
  EXPECT_EQ(stops.Push("N"), "");
  EXPECT_EQ(stops.Push("x"), "ENx");
  EXPECT_EQ(stops.Push("yENDz"), "y");
  EXPECT_TRUE(stops.matched());
  EXPECT_EQ(stops.Push("more"), "");
  EXPECT_EQ(stops.Flush(), "");
}

TEST(StopStrings, TheEarliestStopWins) {
  StopStrings stops({"cd", "b"});
  EXPECT_EQ(stops.Push("abcd"), "a");
}

TEST(StopStrings, FlushGivesBackAnUnfinishedStop) {
  StopStrings stops({"stop"});
  EXPECT_EQ(stops.Push("sto"), "");
  EXPECT_EQ(stops.Flush(), "sto");
  EXPECT_FALSE(stops.matched());
}

// A vocabulary of single bytes and the Harmony markers: every text is spelled letter by letter.
class ChatTurnTest : public testing::Test {
 protected:
  static std::unique_ptr<Tokenizer> MakeTokenizer() {
    return Tokenizer::Load("tests/golden/tokenizer/tokenizer.json");
  }

  void SetUp() override {
    tokenizer_ = MakeTokenizer();
    tokens_ = std::make_unique<HarmonyTokens>(HarmonyTokens::Resolve(*tokenizer_));
  }

  // Feeds text with markers spelled out; stops where the turn says so, and feeds what it forces.
  bool Feed(ChatTurn& turn, std::string_view text) {
    for (const int32_t id : tokenizer_->EncodeWithSpecials(text)) {
      const auto verdict = turn.OnToken(id);
      forced_.insert(forced_.end(), verdict.forced.begin(), verdict.forced.end());
      if (verdict.stop) return true;
    }
    return false;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<HarmonyTokens> tokens_;
  std::vector<int32_t> forced_;
};

TEST_F(ChatTurnTest, SeparatesReasoningAndAnswer) {
  ChatTurn turn(*tokenizer_, *tokens_, {});
  EXPECT_FALSE(
      Feed(turn,
           "<|channel|>analysis<|message|>Hm, so.<|end|><|start|>assistant<|channel|>final<|message|>Yes."
           "<|return|>"));
  turn.Finish();
  EXPECT_EQ(turn.reasoning(), "Hm, so.");
  EXPECT_EQ(turn.answer(), "Yes.");
  EXPECT_TRUE(turn.answer_began());
  const auto deltas = turn.TakeDeltas();
  ASSERT_EQ(deltas.size(), 2u);
  EXPECT_EQ(deltas[0].kind, Delta::Kind::kReasoning);
  EXPECT_EQ(deltas[1].text, "Yes.");
}

TEST_F(ChatTurnTest, CutInTheReasoningIsNoAnswer) {
  ChatTurn turn(*tokenizer_, *tokens_, {});
  Feed(turn, "<|channel|>analysis<|message|>Thinking");
  turn.Finish();
  EXPECT_FALSE(turn.answer_began());
  EXPECT_EQ(turn.answer(), "");
  EXPECT_EQ(turn.reasoning(), "Thinking");
}

TEST_F(ChatTurnTest, AToolCallIsShownAsACall) {
  ChatTurn turn(*tokenizer_, *tokens_, {});
  Feed(turn, "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\":1}<|call|>");
  turn.Finish();
  EXPECT_TRUE(turn.called_tool());
  EXPECT_EQ(turn.answer(), "");
  const auto deltas = turn.TakeDeltas();
  ASSERT_EQ(deltas.size(), 2u);
  EXPECT_EQ(deltas[0].text, "functions.f");
  EXPECT_EQ(deltas[1].text, "{\"a\":1}");
}

TEST_F(ChatTurnTest, AStopStringEndsTheAnswerButNotTheReasoning) {
  ChatTurn turn(*tokenizer_, *tokens_, {.stop_strings = {"STOP"}});
  EXPECT_FALSE(Feed(turn, "<|channel|>analysis<|message|>a STOP b<|end|>"));
  EXPECT_TRUE(Feed(turn, "<|start|>assistant<|channel|>final<|message|>c STOP d"));
  EXPECT_EQ(turn.reasoning(), "a STOP b");
  EXPECT_EQ(turn.answer(), "c ");
}

TEST_F(ChatTurnTest, ARunawayTurnStops) {
  ChatTurn turn(*tokenizer_, *tokens_, {});
  EXPECT_TRUE(Feed(turn, "<|channel|>final<|message|>Done.<|end|><|start|>user<|message|>And now"));
  turn.Finish();
  EXPECT_EQ(turn.answer(), "Done.");
}

TEST_F(ChatTurnTest, TheReasoningBudgetForcesTheFinalChannel) {
  ChatTurn turn(*tokenizer_, *tokens_, {.stop_strings = {}, .max_reasoning_tokens = 6});
  for (const int32_t id :
       tokenizer_->EncodeWithSpecials("<|channel|>analysis<|message|>one two three four five six")) {
    const auto verdict = turn.OnToken(id);
    if (verdict.forced.empty()) continue;
    EXPECT_EQ(ToText(verdict.forced, *tokenizer_), "<|end|><|start|>assistant<|channel|>final<|message|>");
    Feed(turn, "Answer.<|return|>");
    turn.Finish();
    EXPECT_EQ(turn.answer(), "Answer.");
    EXPECT_GE(turn.reasoning_tokens(), 6);
    return;
  }
  FAIL() << "nothing was forced";
}

TEST_F(ChatTurnTest, ABudgetOfZeroLeavesTheHeaderToTheModel) {
  ChatTurn turn(*tokenizer_, *tokens_, {.stop_strings = {}, .max_reasoning_tokens = 0});
  Feed(turn, "<|channel|>analysis<|message|>");
  EXPECT_EQ(ToText(forced_, *tokenizer_), "<|end|><|start|>assistant<|channel|>final<|message|>");
}

TEST_F(ChatTurnTest, RawTextShowsMarkersButNotTheStopToken) {
  RawTurn turn(*tokenizer_, {tokens_->return_}, {});
  for (const int32_t id : tokenizer_->EncodeWithSpecials("a<|end|>b<|return|>")) turn.OnToken(id);
  turn.Finish();
  EXPECT_EQ(turn.answer(), "a<|end|>b");
}

}  // namespace
}  // namespace oxidized
