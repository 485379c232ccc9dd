// From a conversation or a raw prompt to what an engine is asked, and to the parser that makes text of its
// answer. One for each answer; the terminal and the server alike begin here.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/answer_parser.h"
#include "engine/request.h"
#include "harmony/conversation.h"
#include "harmony/tokens.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

struct AnswerOptions {
  int64_t max_new_tokens = 0;
  SamplingParams sampling;
  std::vector<std::string> stop_strings;
  int64_t max_reasoning_tokens = -1;  // of a chat; then the final channel is forced; negative: no limit
  RoutingPolicy routing;
  std::shared_ptr<const TokenMask> mask;  // ids that the tokenizer can decode
  // Of a chat: declared ones, which are called without their namespace, too.
  std::vector<std::string> functions = {};
};

struct AnswerRequest {
  Request request;
  std::unique_ptr<AnswerParser> parser;  // wants every GeneratedToken of the stream
};

// The tokenizer and the tokens must outlive what is returned. ChatRequest throws Error(kBadFile) for a
// conversation that the format cannot express.
AnswerRequest ChatRequest(const Conversation& conversation, const Tokenizer& tokenizer,
                          const HarmonyTokens& tokens, const AnswerOptions& options);
// Goes on with a text, in which special tokens may be spelled out, or with its ids, until one of the model's
// `stop_tokens`.
AnswerRequest RawRequest(std::string_view prompt, const Tokenizer& tokenizer,
                         const std::vector<int32_t>& stop_tokens, const AnswerOptions& options);
AnswerRequest RawRequest(std::vector<int32_t> prompt, const Tokenizer& tokenizer,
                         const std::vector<int32_t>& stop_tokens, const AnswerOptions& options);

// The same of a prompt that is ids already.
AnswerRequest RawRequest(std::vector<int32_t> prompt, const Tokenizer& tokenizer,
                         const std::vector<int32_t>& stop_tokens, const AnswerOptions& options);

// The prompt of the next answer. Throws as ChatRequest.
std::vector<int32_t> ChatPrompt(const Conversation& conversation, const Tokenizer& tokenizer,
                                const HarmonyTokens& tokens);

}  // namespace oxidized
