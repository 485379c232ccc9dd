// What each way of changing a conversation leaves of it.
#include "chat/chat_history.h"

#include <gtest/gtest.h>

namespace oxidized {
namespace {

std::vector<Message> Answered(std::string text) {
  Message reasoning(Role::kAssistant, "hm");
  reasoning.channel = std::string(kAnalysisChannel);
  Message answer(Role::kAssistant, std::move(text));
  answer.channel = std::string(kFinalChannel);
  return {reasoning, answer};
}

// Roles by their first letters, and of users and assistants the text.
std::string Sketch(const ChatHistory& history) {
  std::string sketch;
  for (const Message& message : history.conversation().messages) {
    sketch += std::string(Name(message.role)).substr(0, 1) + message.Text() + " ";
  }
  return sketch;
}

ChatHistory TwoQuestions() {
  ChatHistory history({.instructions = "Be brief.", .model_identity = {}, .date = {}});
  history.Say("one");
  history.Add(Answered("1"));
  history.Say("two");
  history.Add(Answered("2"));
  return history;
}

TEST(ChatHistory, AnAnswerCanBeTakenBackAndThenItsQuestion) {
  ChatHistory history = TwoQuestions();
  EXPECT_EQ(Sketch(history), "s d uone ahm a1 utwo ahm a2 ");
  EXPECT_TRUE(history.TakeBackAnswer());
  EXPECT_EQ(Sketch(history), "s d uone ahm a1 utwo ");
  EXPECT_EQ(history.TakeBackQuestion(), "two");
  EXPECT_EQ(history.TakeBackQuestion(), "one");
  EXPECT_EQ(Sketch(history), "s d ");
  EXPECT_EQ(history.TakeBackQuestion(), std::nullopt);
  EXPECT_FALSE(history.TakeBackAnswer());
}

TEST(ChatHistory, DroppingForgetsTheOldestQuestionWithItsAnswer) {
  ChatHistory history = TwoQuestions();
  EXPECT_TRUE(history.DropOldest());
  EXPECT_EQ(Sketch(history), "s d utwo ahm a2 ");
  EXPECT_TRUE(history.DropOldest());
  EXPECT_FALSE(history.DropOldest());
  EXPECT_EQ(Sketch(history), "s d ");
}

TEST(ChatHistory, InstructionsStandBehindTheSystemMessageAndSurviveAReset) {
  ChatHistory history = TwoQuestions();
  history.SetInstructions("Be long.");
  EXPECT_EQ(history.instructions(), "Be long.");
  EXPECT_EQ(Sketch(history), "s d uone ahm a1 utwo ahm a2 ");
  history.Reset();
  EXPECT_EQ(history.instructions(), "Be long.");
  history.SetInstructions("");
  EXPECT_EQ(history.instructions(), "");
  EXPECT_EQ(Sketch(history), "s ");
}

TEST(ChatHistory, TheEffortIsTheOneOfTheConversationThatReplacesIt) {
  ChatHistory history = TwoQuestions();
  history.SetReasoningEffort(ReasoningEffort::kHigh);
  const auto& system = std::get<SystemContent>(history.conversation().messages[0].content[0]);
  EXPECT_EQ(system.reasoning_effort, ReasoningEffort::kHigh);
  OpeningOptions low;
  low.reasoning_effort = ReasoningEffort::kLow;
  history.Replace(OpeningMessages(low));
  EXPECT_EQ(history.reasoning_effort(), ReasoningEffort::kLow);
  EXPECT_EQ(Sketch(history), "s ");
}

TEST(ChatHistory, WhatIsSaidIsMadeUtf8) {
  ChatHistory history(OpeningOptions{});
  history.Say("a\xff");
  EXPECT_EQ(history.conversation().messages.back().Text(), "a\xEF\xBF\xBD");
}

}  // namespace
}  // namespace oxidized
