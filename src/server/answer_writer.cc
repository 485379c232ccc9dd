#include "server/answer_writer.h"

#include "server/json_writer.h"

namespace oxidized::server {

std::string_view Name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      break;
  }
  return "tool_calls";
}

std::string AnswerWriter::EndStream(const std::string& head, const Usage* usage) {
  if (usage != nullptr) {
    std::string chunk = head;
    JsonWriter(chunk).Key("choices").BeginArray().EndArray();
    WriteUsage(*usage, chunk);
    JsonWriter(chunk).EndObject();
    Event(chunk);
  }
  return TakeEvents().append(kDone);
}

void WriteUsage(const Usage& usage, std::string& out) {
  JsonWriter json(out);
  json.Key("usage").BeginObject();
  json.Key("prompt_tokens").Integer(usage.prompt_tokens);
  json.Key("completion_tokens").Integer(usage.completion_tokens);
  json.Key("total_tokens").Integer(usage.prompt_tokens + usage.completion_tokens);
  json.Key("prompt_tokens_details")
      .BeginObject()
      .Key("cached_tokens")
      .Integer(usage.cached_tokens)
      .EndObject();
  json.Key("completion_tokens_details").BeginObject();
  json.Key("reasoning_tokens").Integer(usage.reasoning_tokens).EndObject();
  json.EndObject();
}

}  // namespace oxidized::server
