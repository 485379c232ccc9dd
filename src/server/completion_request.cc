#include "server/completion_request.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "server/api_error.h"
#include "server/fields.h"

namespace oxidized::server {
namespace {

constexpr int64_t kMostAnswers = 128;  // prompts times n
constexpr int64_t kMostTopLogprobs = 5;
constexpr int64_t kMaxTokens = 16;  // OpenAI's default

std::vector<std::vector<int32_t>> ReadPrompts(const OrderedJson& prompt, const Tokenizer& tokenizer) {
  if (prompt.is_string()) return {tokenizer.EncodeWithSpecials(prompt.get_ref<const std::string&>())};
  if (!prompt.is_array() || prompt.empty())
    Refuse("prompt", "expected a string, an array of token ids, or an array of either");
  if (prompt.front().is_number()) return {ReadTokenIds(prompt, "prompt", tokenizer)};
  if (prompt.size() > static_cast<size_t>(kMostAnswers))
    Refuse("prompt", fmt::format("has {} prompts, and may have {}", prompt.size(), kMostAnswers));
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < prompt.size(); ++i) {
    const std::string place = fmt::format("prompt[{}]", i);
    prompts.push_back(prompt[i].is_string()
                          ? tokenizer.EncodeWithSpecials(prompt[i].get_ref<const std::string&>())
                          : ReadTokenIds(prompt[i], place, tokenizer));
  }
  return prompts;
}

}  // namespace

std::vector<int32_t> ReadTokenIds(const OrderedJson& ids, const std::string& place,
                                  const Tokenizer& tokenizer) {
  if (!ids.is_array()) Refuse(place, "expected an array of token ids");
  std::vector<int32_t> read;
  for (const OrderedJson& id : ids) {
    const bool known = id.is_number_unsigned() && id.get<uint64_t>() < uint64_t{INT32_MAX} &&
                       tokenizer.TokenBytes(id.get<int32_t>());
    if (!known) Refuse(place, id.dump() + " is not a token id of this model");
    read.push_back(id.get<int32_t>());
  }
  return read;
}

PreparedRequest ReadCompletionRequest(const RequestObject& request, const RequestContext& context) {
  PreparedRequest prepared;
  AnswerOptions options;
  CheckFields(Api::kCompletions, request);
  ReadCommonFields(request, prepared, options);
  options.max_new_tokens = request.Integer("max_tokens", 0, INT32_MAX).value_or(kMaxTokens);
  options.routing = context.routing;
  options.mask = context.model->sampling_mask();
  prepared.top_logprobs = static_cast<int32_t>(request.Integer("logprobs", 0, kMostTopLogprobs).value_or(-1));
  const int64_t n = prepared.answers_of_a_prompt = request.Integer("n", 1, kMostAnswers).value_or(1);

  const Tokenizer& tokenizer = context.model->tokenizer();
  const auto prompts = ReadPrompts(request.Required("prompt"), tokenizer);
  if (static_cast<int64_t>(prompts.size()) * n > kMostAnswers)
    Refuse("n", fmt::format("{} prompts times {} are more than {} answers", prompts.size(), n, kMostAnswers));
  for (const std::vector<int32_t>& prompt : prompts) {
    AddAnswers(prepared, options, n, [&](const AnswerOptions& of_one) {
      AnswerRequest answer = RawRequest(prompt, tokenizer, context.model->config().eos_token_ids, of_one);
      answer.request.top_logprobs = prepared.top_logprobs;
      return answer;
    });
  }
  return prepared;
}

}  // namespace oxidized::server
