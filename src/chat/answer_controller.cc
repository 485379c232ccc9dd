#include "chat/answer_controller.h"

#include <utility>

namespace oxidized {

StopController::StopController(std::unique_ptr<AnswerParser> parser) : parser_(std::move(parser)) {
  parser_->KeepNoText();
}

TokenController::Verdict StopController::OnToken(int32_t token) {
  parser_->Push(token);
  return {.stop = parser_->over(), .forced = {}};
}

ChatController::ChatController(const Tokenizer& tokenizer, const HarmonyTokens& tokens,
                               std::vector<std::string> stop_strings, int64_t max_reasoning_tokens,
                               std::vector<std::string> functions)
    : tokenizer_(tokenizer),
      tokens_(tokens),
      max_reasoning_tokens_(max_reasoning_tokens),
      parser_(tokenizer, tokens, std::move(stop_strings), std::move(functions)) {
  parser_.KeepNoText();
  final_header_.push_back(tokens_.channel);
  tokenizer_.Encode(kFinalChannel, final_header_);
  final_header_.push_back(tokens_.message);
}

TokenController::Verdict ChatController::OnToken(int32_t token) {
  parser_.Push(token);
  if (parser_.over()) return {.stop = true, .forced = {}};
  const bool limited = max_reasoning_tokens_ >= 0 && parser_.in_reasoning();
  if (!limited || parser_.reasoning_tokens() < max_reasoning_tokens_) return {};
  std::vector<int32_t> forced = OpenFinal(token);
  for (const int32_t id : forced) parser_.Push(id, /*forced=*/true);
  return {.stop = false, .forced = std::move(forced)};
}

// Closes what is open (a message, or a header that began), then opens the final channel. Empty inside a
// header: wait until its <|message|> decides what it is.
std::vector<int32_t> ChatController::OpenFinal(int32_t last_token) const {
  std::vector<int32_t> forced;
  if (parser_.in_analysis_message() || parser_.in_message()) forced.push_back(tokens_.end);
  if (!forced.empty() || last_token == tokens_.end) {
    forced.push_back(tokens_.start);
    tokenizer_.Encode(Name(Role::kAssistant), forced);
  }
  if (!forced.empty()) forced.insert(forced.end(), final_header_.begin(), final_header_.end());
  return forced;
}

}  // namespace oxidized
