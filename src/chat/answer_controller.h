// What has to be decided between two tokens of an answer because its text says so: stop strings, a model that
// begins to write somebody else's part, the reasoning budget. On the engine's thread, in token order, so that
// nothing depends on how fast anybody reads. Shows nothing: the reader has an AnswerParser of its own.
#pragma once

#include <memory>
#include <vector>

#include "chat/answer_parser.h"
#include "engine/request.h"

namespace oxidized {

// Ends the answer where the parser says that it is over.
class StopController final : public TokenController {
 public:
  explicit StopController(std::unique_ptr<AnswerParser> parser);
  Verdict OnToken(int32_t token) override;
  bool MayMask() const override { return false; }

 private:
  const std::unique_ptr<AnswerParser> parser_;
};

// The same for Harmony; after `max_reasoning_tokens` (negative: no limit) the final channel is forced.
class ChatController final : public TokenController {
 public:
  ChatController(const Tokenizer& tokenizer, const HarmonyTokens& tokens,
                 std::vector<std::string> stop_strings, int64_t max_reasoning_tokens,
                 std::vector<std::string> functions = {});
  Verdict OnToken(int32_t token) override;
  bool MayMask() const override { return false; }

 private:
  std::vector<int32_t> OpenFinal(int32_t last_token) const;

  const Tokenizer& tokenizer_;
  const HarmonyTokens& tokens_;
  const int64_t max_reasoning_tokens_;
  ChatAnswerParser parser_;
  std::vector<int32_t> final_header_;  // <|channel|>final<|message|>
};

}  // namespace oxidized
