#include "server/fields.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "server/api_error.h"

namespace oxidized::server {
namespace {

constexpr auto kChat = Api::kChat;
constexpr auto kCompletions = Api::kCompletions;
constexpr auto kHonoured = Treatment::kHonoured;
constexpr auto kRefused = Treatment::kRefused;
constexpr auto kIgnored = Treatment::kIgnored;

constexpr std::string_view kNoBias = "this version has no biases of single tokens";
constexpr std::string_view kNoBeams = "this version makes the answers that it sends, and no others";
constexpr std::string_view kOldTools = "use tools and tool_choice";

constexpr FieldRow kTable[] = {
    {kChat, "messages", kHonoured},
    {kChat, "model", kHonoured},
    {kChat, "max_completion_tokens", kHonoured},
    {kChat, "max_tokens", kHonoured},
    {kChat, "temperature", kHonoured},
    {kChat, "top_p", kHonoured},
    {kChat, "top_k", kHonoured},
    {kChat, "min_p", kHonoured},
    {kChat, "presence_penalty", kHonoured},
    {kChat, "frequency_penalty", kHonoured},
    {kChat, "repetition_penalty", kHonoured},
    {kChat, "seed", kHonoured},
    {kChat, "stop", kHonoured},
    {kChat, "n", kHonoured},
    {kChat, "logprobs", kHonoured},
    {kChat, "top_logprobs", kHonoured},
    {kChat, "stream", kHonoured},
    {kChat, "stream_options", kHonoured},
    {kChat, "tools", kHonoured},
    {kChat, "tool_choice", kHonoured},
    {kChat, "response_format", kHonoured},
    {kChat, "reasoning_effort", kHonoured},
    {kChat, "reasoning", kHonoured},
    {kChat, "include_reasoning", kHonoured},
    {kChat, "max_reasoning_tokens", kHonoured},
    {kChat, "chat_template_kwargs", kHonoured},
    {kChat, "logit_bias", kRefused, "{}", kNoBias},
    {kChat, "functions", kRefused, "[]", kOldTools},
    {kChat, "function_call", kRefused, "\"none\"", kOldTools},
    {kChat, "modalities", kRefused, "[\"text\"]", "this model writes text alone"},
    {kChat, "audio", kRefused, {}, "this model writes text alone"},
    {kChat, "web_search_options", kRefused, {}, "this server searches nothing"},
    {kChat, "use_beam_search", kRefused, "false", kNoBeams},
    {kChat, "parallel_tool_calls", kIgnored},
    {kChat, "user", kIgnored},
    {kChat, "metadata", kIgnored},
    {kChat, "store", kIgnored},
    {kChat, "service_tier", kIgnored},
    {kChat, "prompt_cache_key", kIgnored},
    {kChat, "safety_identifier", kIgnored},
    {kChat, "verbosity", kIgnored},
    {kChat, "prediction", kIgnored},

    {kCompletions, "prompt", kHonoured},
    {kCompletions, "model", kHonoured},
    {kCompletions, "max_tokens", kHonoured},
    {kCompletions, "temperature", kHonoured},
    {kCompletions, "top_p", kHonoured},
    {kCompletions, "top_k", kHonoured},
    {kCompletions, "min_p", kHonoured},
    {kCompletions, "presence_penalty", kHonoured},
    {kCompletions, "frequency_penalty", kHonoured},
    {kCompletions, "repetition_penalty", kHonoured},
    {kCompletions, "seed", kHonoured},
    {kCompletions, "stop", kHonoured},
    {kCompletions, "n", kHonoured},
    {kCompletions, "logprobs", kHonoured},
    {kCompletions, "stream", kHonoured},
    {kCompletions, "stream_options", kHonoured},
    {kCompletions, "logit_bias", kRefused, "{}", kNoBias},
    {kCompletions, "best_of", kRefused, "1", kNoBeams},
    {kCompletions, "use_beam_search", kRefused, "false", kNoBeams},
    {kCompletions, "echo", kRefused, "false", "the prompt is not sent back in this version"},
    {kCompletions, "suffix", kRefused, "\"\"", "the model cannot fill a gap in a text"},
    {kCompletions, "response_format", kRefused, "{\"type\":\"text\"}", "this version has no grammars"},
    {kCompletions, "user", kIgnored},

    {Api::kTokenize, "prompt", kHonoured},
    {Api::kTokenize, "messages", kHonoured},
    {Api::kTokenize, "tools", kHonoured},
    {Api::kTokenize, "model", kHonoured},
    {Api::kTokenize, "add_special_tokens", kIgnored},

    {Api::kDetokenize, "tokens", kHonoured},
    {Api::kDetokenize, "model", kHonoured},
};

}  // namespace

std::string_view Name(Treatment treatment) {
  switch (treatment) {
    case Treatment::kHonoured:
      return "honoured";
    case Treatment::kRefused:
      return "refused";
    case Treatment::kIgnored:
      break;
  }
  return "ignored";
}

std::string_view PathOf(Api api) {
  switch (api) {
    case Api::kChat:
      return "/v1/chat/completions";
    case Api::kCompletions:
      return "/v1/completions";
    case Api::kTokenize:
      return "/tokenize";
    case Api::kDetokenize:
      break;
  }
  return "/detokenize";
}

std::span<const FieldRow> FieldTable() { return kTable; }

void CheckFields(Api api, const RequestObject& request) {
  for (const FieldRow& row : kTable) {
    if (row.api != api || row.treatment != Treatment::kRefused) continue;
    const std::string name(row.name);
    const OrderedJson* value = request.Find(name.c_str());
    if (value != nullptr && value->dump() != row.idle) Refuse(name, std::string(row.why));
  }
}

}  // namespace oxidized::server
