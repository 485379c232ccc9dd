// One answer being generated: sampled tokens in, text for people out, and the decisions that need the text
// (stop strings, the reasoning budget, a runaway turn). A turn is the request's TokenController, so those
// decisions fall in token order on the engine's thread and do not depend on how fast anybody reads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chat/stop_strings.h"
#include "engine/request.h"
#include "harmony/parser.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

struct Delta {
  enum class Kind : uint8_t { kReasoning, kAnswer, kCallName, kCallArguments };
  Kind kind;
  std::string text;  // whole characters of valid UTF-8; of kCallName the recipient
};

class Turn : public TokenController {
 public:
  std::vector<Delta> TakeDeltas() { return std::exchange(deltas_, {}); }
  // No further token comes: releases what was held back.
  virtual void Finish() = 0;

  const std::string& answer() const { return answer_; }  // raw: the whole text
  const std::string& reasoning() const { return reasoning_; }
  bool answer_began() const { return answer_began_; }
  bool stop_string_matched() const { return stops_.matched(); }
  int64_t reasoning_tokens() const { return reasoning_tokens_; }

 protected:
  explicit Turn(std::vector<std::string> stop_strings) : stops_(std::move(stop_strings)) {}
  void Show(Delta::Kind kind, std::string text);

  StopStrings stops_;
  std::string answer_, reasoning_;
  bool answer_began_ = false;
  int64_t reasoning_tokens_ = 0;

 private:
  std::vector<Delta> deltas_;
};

// Continues a prompt as it is: every token is text, special ones spelled out. Stop tokens are not shown.
class RawTurn final : public Turn {
 public:
  RawTurn(const Tokenizer& tokenizer, std::vector<int32_t> stop_tokens,
          std::vector<std::string> stop_strings);
  Verdict OnToken(int32_t token) override;
  void Finish() override;

 private:
  const Tokenizer& tokenizer_;
  std::vector<int32_t> stop_tokens_;
  Utf8Stream utf8_;
};

struct ChatTurnOptions {
  std::vector<std::string>
      stop_strings;                   // matched in answers and preambles, not in reasoning or tool arguments
  int64_t max_reasoning_tokens = -1;  // then the final channel is forced; negative: no limit
};

// An answer in Harmony, after a prompt that ended with <|start|>assistant.
class ChatTurn final : public Turn {
 public:
  ChatTurn(const Tokenizer& tokenizer, const HarmonyTokens& tokens, ChatTurnOptions options);
  Verdict OnToken(int32_t token) override;
  void Finish() override;

  // What the model wrote, for the history of the next turn.
  const std::deque<Message>& messages() const { return parser_.messages(); }
  bool called_tool() const { return called_tool_; }

 private:
  void Absorb(int32_t token);
  void Handle(std::span<const ParseEvent> events);

  const Tokenizer& tokenizer_;
  const HarmonyTokens& tokens_;
  const ChatTurnOptions options_;
  StreamParser parser_;
  std::vector<int32_t> force_final_;  // what ends the reasoning and opens the final channel
  bool in_reasoning_ = true;          // counts towards the budget: everything before an answer or a call
  bool in_analysis_message_ = false;
  bool called_tool_ = false;
  bool runaway_ = false;  // the model opened somebody else's message
};

// The tokens on which a chat answer ends: <|return|>, <|call|> and, where the vocabulary has it,
// <|endoftext|>.
std::vector<int32_t> ChatStopTokens(const HarmonyTokens& tokens);

}  // namespace oxidized
