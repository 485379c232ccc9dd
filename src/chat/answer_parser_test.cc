#include "chat/answer_parser.h"

#include <gtest/gtest.h>

#include "chat/answer_controller.h"

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

// An answer as an engine and a reader have it: the one decides, the other sees every token.
struct ChatAnswer {
  ChatAnswer(const Tokenizer& tokenizer, const HarmonyTokens& tokens, std::vector<std::string> stops = {},
             int64_t max_reasoning_tokens = -1, std::vector<std::string> functions = {})
      : controller(tokenizer, tokens, stops, max_reasoning_tokens, functions),
        parser(tokenizer, tokens, stops, functions) {}

  TokenController::Verdict OnToken(int32_t token) {
    const auto verdict = controller.OnToken(token);
    parser.Push(token);
    EXPECT_EQ(parser.over(), verdict.stop);
    for (const int32_t forced : verdict.forced) parser.Push(forced, true);
    return verdict;
  }

  ChatController controller;
  ChatAnswerParser parser;
};

// A vocabulary of single bytes and the Harmony markers: every text is spelled letter by letter.
class ChatAnswerTest : public testing::Test {
 protected:
  static std::unique_ptr<Tokenizer> MakeTokenizer() {
    return Tokenizer::Load("tests/golden/tokenizer/tokenizer.json");
  }

  void SetUp() override {
    tokenizer_ = MakeTokenizer();
    tokens_ = std::make_unique<HarmonyTokens>(HarmonyTokens::Resolve(*tokenizer_));
  }

  // Feeds text with markers spelled out; stops where the controller says so, and feeds what it forces.
  bool Feed(ChatAnswer& answer, std::string_view text) {
    for (const int32_t id : tokenizer_->EncodeWithSpecials(text)) {
      const auto verdict = answer.OnToken(id);
      forced_.insert(forced_.end(), verdict.forced.begin(), verdict.forced.end());
      if (verdict.stop) return true;
    }
    return false;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<HarmonyTokens> tokens_;
  std::vector<int32_t> forced_;
};

TEST_F(ChatAnswerTest, SeparatesReasoningAndAnswer) {
  ChatAnswer answer(*tokenizer_, *tokens_);
  EXPECT_FALSE(
      Feed(answer,
           "<|channel|>analysis<|message|>Hm, so.<|end|><|start|>assistant<|channel|>final<|message|>Yes."
           "<|return|>"));
  answer.parser.Finish();
  EXPECT_EQ(answer.parser.reasoning(), "Hm, so.");
  EXPECT_EQ(answer.parser.answer(), "Yes.");
  EXPECT_TRUE(answer.parser.answer_began());
  const auto deltas = answer.parser.TakeDeltas();
  ASSERT_EQ(deltas.size(), 2u);
  EXPECT_EQ(deltas[0].kind, Delta::Kind::kReasoning);
  EXPECT_EQ(deltas[1].text, "Yes.");
}

TEST_F(ChatAnswerTest, CutInTheReasoningIsNoAnswer) {
  ChatAnswer answer(*tokenizer_, *tokens_);
  Feed(answer, "<|channel|>analysis<|message|>Thinking");
  answer.parser.Finish();
  EXPECT_FALSE(answer.parser.answer_began());
  EXPECT_EQ(answer.parser.answer(), "");
  EXPECT_EQ(answer.parser.reasoning(), "Thinking");
}

TEST_F(ChatAnswerTest, AToolCallIsShownAsACall) {
  ChatAnswer answer(*tokenizer_, *tokens_);
  Feed(answer, "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\":1}<|call|>");
  answer.parser.Finish();
  EXPECT_TRUE(answer.parser.called_tool());
  EXPECT_EQ(answer.parser.answer(), "");
  const auto deltas = answer.parser.TakeDeltas();
  ASSERT_EQ(deltas.size(), 2u);
  EXPECT_EQ(deltas[0].text, "functions.f");
  EXPECT_EQ(deltas[1].text, "{\"a\":1}");
}

TEST_F(ChatAnswerTest, ADeclaredFunctionIsCalledWithoutItsNamespaceToo) {
  for (const bool declared : {true, false}) {
    ChatAnswer answer(*tokenizer_, *tokens_, {}, -1,
                      declared ? std::vector<std::string>{"f"} : std::vector<std::string>{});
    Feed(answer, "<|channel|>commentary to=f<|message|>{}<|call|>");
    answer.parser.Finish();
    EXPECT_EQ(answer.parser.called_tool(), declared);
    EXPECT_EQ(answer.parser.answer(), declared ? "" : "{}");
    EXPECT_EQ(answer.parser.Messages()[0].recipient,
              declared ? std::optional<std::string>("f") : std::nullopt);
  }
}

TEST_F(ChatAnswerTest, MessagesAreToldApartAndTokensOfTheAnswerAreKnown) {
  ChatAnswer answer(*tokenizer_, *tokens_);
  std::string of_answer;
  for (const int32_t id : tokenizer_->EncodeWithSpecials(
           "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>So."
           "<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>")) {
    const bool before = answer.parser.in_answer();
    answer.OnToken(id);
    if (before && answer.parser.in_answer()) of_answer += *tokenizer_->TokenBytes(id);
  }
  answer.parser.Finish();
  EXPECT_EQ(of_answer, "So.Yes.");
  std::string shown;
  for (const Delta& delta : answer.parser.TakeDeltas()) shown += (delta.opens ? "|" : "") + delta.text;
  EXPECT_EQ(shown, "|Hm.|So.|Yes.");
}

// What published models write there (a content type without its marker, roles), and what is not a tool.
TEST_F(ChatAnswerTest, TheFinalChannelIsTheAnswerWhateverElseItsHeaderSays) {
  for (const char* header :
       {"final json", "final code", "final to=user", "final to=all", "final to=functions.f",
        "final <|constrain|>json", "commentary to=assistantassistant", "commentary json"}) {
    ChatAnswer answer(*tokenizer_, *tokens_);
    Feed(answer, std::string("<|channel|>") + header + "<|message|>{\"a\":1}<|return|>");
    answer.parser.Finish();
    EXPECT_EQ(answer.parser.answer(), "{\"a\":1}") << header;
    EXPECT_FALSE(answer.parser.called_tool()) << header;
    EXPECT_EQ(AnswerEnd(StopReason::kStopToken, answer.parser), "stop") << header;
    ASSERT_EQ(answer.parser.Messages().size(), 1u);
    EXPECT_EQ(answer.parser.Messages()[0].recipient, std::nullopt) << header;
  }
  for (const char* recipient : {"functions.f", "browser.open", "python"}) {
    ChatAnswer answer(*tokenizer_, *tokens_);
    Feed(answer, std::string("<|channel|>analysis to=") + recipient + "<|message|>{}<|call|>");
    answer.parser.Finish();
    EXPECT_EQ(AnswerEnd(StopReason::kStopToken, answer.parser), "tool_call") << recipient;
    EXPECT_EQ(answer.parser.Messages()[0].recipient, recipient);
  }
}

TEST_F(ChatAnswerTest, ATurnWithoutAnAnswerIsNamed) {
  for (const char* text :
       {"<|channel|>analysis<|message|>Hm.<|return|>", "<|channel|>final<|message|><|return|>",
        "<|channel|>final_x<|return|>", "<|return|>"}) {
    ChatAnswer answer(*tokenizer_, *tokens_);
    Feed(answer, text);
    answer.parser.Finish();
    EXPECT_EQ(AnswerEnd(StopReason::kStopToken, answer.parser), "no_answer") << text;
    EXPECT_EQ(AnswerEnd(StopReason::kLength, answer.parser), "length") << text;
  }
}

TEST_F(ChatAnswerTest, AStopStringEndsTheAnswerButNotTheReasoning) {
  ChatAnswer answer(*tokenizer_, *tokens_, {"STOP"});
  EXPECT_FALSE(Feed(answer, "<|channel|>analysis<|message|>a STOP b<|end|>"));
  EXPECT_TRUE(Feed(answer, "<|start|>assistant<|channel|>final<|message|>c STOP d"));
  EXPECT_EQ(answer.parser.reasoning(), "a STOP b");
  EXPECT_EQ(answer.parser.answer(), "c ");
}

TEST_F(ChatAnswerTest, ARunawayAnswerStops) {
  ChatAnswer answer(*tokenizer_, *tokens_);
  EXPECT_TRUE(Feed(answer, "<|channel|>final<|message|>Done.<|end|><|start|>user<|message|>And now"));
  answer.parser.Finish();
  EXPECT_EQ(answer.parser.answer(), "Done.");
}

TEST_F(ChatAnswerTest, TheReasoningBudgetForcesTheFinalChannel) {
  ChatAnswer answer(*tokenizer_, *tokens_, {}, 6);
  for (const int32_t id :
       tokenizer_->EncodeWithSpecials("<|channel|>analysis<|message|>one two three four five six")) {
    const auto verdict = answer.OnToken(id);
    if (verdict.forced.empty()) continue;
    EXPECT_EQ(ToText(verdict.forced, *tokenizer_), "<|end|><|start|>assistant<|channel|>final<|message|>");
    Feed(answer, "Answer.<|return|>");
    answer.parser.Finish();
    EXPECT_EQ(answer.parser.answer(), "Answer.");
    EXPECT_GE(answer.parser.reasoning_tokens(), 6);
    return;
  }
  FAIL() << "nothing was forced";
}

TEST_F(ChatAnswerTest, ABudgetOfZeroLeavesTheHeaderToTheModel) {
  ChatAnswer answer(*tokenizer_, *tokens_, {}, 0);
  Feed(answer, "<|channel|>analysis<|message|>");
  EXPECT_EQ(ToText(forced_, *tokenizer_), "<|end|><|start|>assistant<|channel|>final<|message|>");
}

TEST_F(ChatAnswerTest, RawTextShowsMarkersButNotTheStopToken) {
  RawAnswerParser answer(*tokenizer_, {tokens_->return_}, {});
  for (const int32_t id : tokenizer_->EncodeWithSpecials("a<|end|>b<|return|>")) answer.Push(id);
  answer.Finish();
  EXPECT_EQ(answer.answer(), "a<|end|>b");
}

}  // namespace
}  // namespace oxidized
