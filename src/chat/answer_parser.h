// The text of one answer: generated tokens in, text for people out. A function of the tokens and nothing
// else, so whoever reads a Stream makes the text on its own thread, and the engine's thread only decides
// (answer_controller.h, which follows the same tokens with a parser of its own).
// docs/adr/0010-engine-loop-and-stream.md says why.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "chat/stop_strings.h"
#include "engine/request.h"
#include "harmony/parser.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

struct Delta {
  enum class Kind : uint8_t { kReasoning, kAnswer, kCallName, kCallArguments };
  Kind kind;
  std::string text;    // whole characters of valid UTF-8; of kCallName the recipient
  bool opens = false;  // the first text of a message
};

class AnswerParser {
 public:
  virtual ~AnswerParser() = default;
  // Every token of the answer in turn, as GeneratedToken gives them.
  virtual void Push(int32_t token, bool forced = false) = 0;
  // No further token comes: releases what was held back.
  virtual void Finish() = 0;
  // For who only decides: from now on no text is kept, and there are no deltas.
  void KeepNoText() { keeps_text_ = false; }
  // What can be shown since the last call.
  std::vector<Delta> TakeDeltas() { return std::exchange(deltas_, {}); }

  // The text says that nothing more shall come: a stop string, or somebody else's message was opened.
  virtual bool over() const { return stops_.matched(); }
  bool stop_string_matched() const { return stops_.matched(); }
  const std::string& answer() const { return answer_; }  // raw: the whole text
  const std::string& reasoning() const { return reasoning_; }
  bool answer_began() const { return answer_began_; }
  int64_t reasoning_tokens() const { return reasoning_tokens_; }  // sampled before an answer or a call
  virtual bool called_tool() const { return false; }
  // The last token was followed by more of an answer, and the next one belongs to its text unless it ends it.
  virtual bool in_answer() const = 0;
  // Of a chat: neither an answer nor a call came.
  virtual bool said_nothing() const { return false; }
  // What the model wrote, for the history of the next turn; raw text is not a message.
  virtual std::vector<Message> Messages() const { return {}; }

 protected:
  explicit AnswerParser(std::vector<std::string> stop_strings) : stops_(std::move(stop_strings)) {}
  void Show(Delta::Kind kind, std::string text);
  void OpenMessage() { opens_ = true; }

  StopStrings stops_;
  std::string answer_, reasoning_;
  bool answer_began_ = false;
  int64_t reasoning_tokens_ = 0;

 private:
  std::vector<Delta> deltas_;
  bool keeps_text_ = true;
  bool opens_ = false;  // the next text is the first of a message
};

// Continues a prompt as it is: every token is text, special ones spelled out. Stop tokens are not shown.
class RawAnswerParser final : public AnswerParser {
 public:
  // `tokenizer` must outlive this.
  RawAnswerParser(const Tokenizer& tokenizer, std::vector<int32_t> stop_tokens,
                  std::vector<std::string> stop_strings);
  void Push(int32_t token, bool forced = false) override;
  void Finish() override;
  bool in_answer() const override { return !stopped_; }

 private:
  const Tokenizer& tokenizer_;
  std::vector<int32_t> stop_tokens_;
  Utf8Stream utf8_;
  bool stopped_ = false;
};

// An answer in Harmony, after a prompt that ended with <|start|>assistant.
class ChatAnswerParser final : public AnswerParser {
 public:
  // Stop strings are matched in answers and preambles, not in reasoning or tool arguments. `functions`: names
  // that call a function without its namespace, too. The tokenizer and the tokens must outlive this.
  ChatAnswerParser(const Tokenizer& tokenizer, const HarmonyTokens& tokens,
                   std::vector<std::string> stop_strings, std::vector<std::string> functions = {});
  void Push(int32_t token, bool forced = false) override;
  void Finish() override;

  bool over() const override { return runaway_ || stops_.matched(); }
  bool called_tool() const override { return called_tool_; }
  bool in_answer() const override { return in_answer_ && parser_.open(); }
  bool said_nothing() const override { return answer_.empty() && !called_tool_; }
  std::vector<Message> Messages() const override;

  // Where the model is: before an answer or a call; within a message of analysis; within any message.
  bool in_reasoning() const { return in_reasoning_; }
  bool in_analysis_message() const { return in_analysis_message_; }
  bool in_message() const { return parser_.open(); }

 private:
  void Handle(std::span<const ParseEvent> events);
  bool Calls(const Message& message) const;

  StreamParser parser_;
  const std::vector<std::string> functions_;
  bool in_answer_ = false;
  bool in_reasoning_ = true;
  bool in_analysis_message_ = false;
  bool called_tool_ = false;
  bool runaway_ = false;  // the model opened somebody else's message
};

// Why an answer ended, in the words of docs/json-output.md: stop, tool_call, no_answer, stop_string, length,
// context_full, cancelled, error.
std::string AnswerEnd(StopReason reason, const AnswerParser& parser);

}  // namespace oxidized
