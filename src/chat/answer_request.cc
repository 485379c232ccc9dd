#include "chat/answer_request.h"

#include <utility>

#include "chat/answer_controller.h"
#include "harmony/render.h"

namespace oxidized {
namespace {

Request RequestOf(std::vector<int32_t> prompt, std::vector<int32_t> stop_tokens,
                  const AnswerOptions& options) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = options.max_new_tokens;
  request.sampling = options.sampling;
  request.stop_tokens = std::move(stop_tokens);
  request.routing = options.routing;
  request.mask = options.mask;
  return request;
}

// <|return|>, <|call|> and, where the vocabulary has it, <|endoftext|>.
std::vector<int32_t> ChatStopTokens(const HarmonyTokens& tokens) {
  std::vector<int32_t> stops = {tokens.return_, tokens.call};
  if (tokens.end_of_text >= 0) stops.push_back(tokens.end_of_text);
  return stops;
}

}  // namespace

std::vector<int32_t> ChatPrompt(const Conversation& conversation, const Tokenizer& tokenizer,
                                const HarmonyTokens& tokens) {
  return RenderForCompletion(conversation, Role::kAssistant, tokenizer, tokens);
}

AnswerRequest ChatRequest(const Conversation& conversation, const Tokenizer& tokenizer,
                          const HarmonyTokens& tokens, const AnswerOptions& options) {
  AnswerRequest chat;
  chat.request = RequestOf(ChatPrompt(conversation, tokenizer, tokens), ChatStopTokens(tokens), options);
  chat.request.keep_at = InstructionEnds(conversation, chat.request.prompt, tokens);
  chat.request.controller = std::make_shared<ChatController>(tokenizer, tokens, options.stop_strings,
                                                             options.max_reasoning_tokens, options.functions);
  chat.parser =
      std::make_unique<ChatAnswerParser>(tokenizer, tokens, options.stop_strings, options.functions);
  return chat;
}

AnswerRequest RawRequest(std::string_view prompt, const Tokenizer& tokenizer,
                         const std::vector<int32_t>& stop_tokens, const AnswerOptions& options) {
  return RawRequest(tokenizer.EncodeWithSpecials(prompt), tokenizer, stop_tokens, options);
}

AnswerRequest RawRequest(std::vector<int32_t> prompt, const Tokenizer& tokenizer,
                         const std::vector<int32_t>& stop_tokens, const AnswerOptions& options) {
  const auto make_parser = [&] {
    return std::make_unique<RawAnswerParser>(tokenizer, stop_tokens, options.stop_strings);
  };
  AnswerRequest raw;
  raw.request = RequestOf(std::move(prompt), stop_tokens, options);
  if (!options.stop_strings.empty())  // nothing else has to be decided
    raw.request.controller = std::make_shared<StopController>(make_parser());
  raw.parser = make_parser();
  return raw;
}

}  // namespace oxidized
