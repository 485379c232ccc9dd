#include "server/chat_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "chat/opening.h"
#include "server/api_error.h"
#include "server/fields.h"

namespace oxidized::server {
namespace {

constexpr int64_t kMostAnswers = 16;
constexpr int64_t kMostTopLogprobs = 20;
constexpr size_t kMostNameBytes = 64;
constexpr std::string_view kFunctionsPrefix = "functions.";

struct EffortName {
  std::string_view name;
  ReasoningEffort effort;
};
// The model knows three; clients know these.
constexpr EffortName kEfforts[] = {
    {"none", ReasoningEffort::kLow},  {"minimal", ReasoningEffort::kLow},
    {"low", ReasoningEffort::kLow},   {"medium", ReasoningEffort::kMedium},
    {"high", ReasoningEffort::kHigh}, {"xhigh", ReasoningEffort::kHigh},
    {"max", ReasoningEffort::kHigh},
};

std::optional<ReasoningEffort> EffortOf(const RequestObject& object, const char* key) {
  const auto name = object.String(key);
  if (!name) return std::nullopt;
  for (const EffortName& known : kEfforts) {
    if (known.name == *name) return known.effort;
  }
  Refuse(object.PlaceOf(key), "is none of none, minimal, low, medium, high, xhigh, max");
}

// A type of tools is shown in a header: no more of it than such a word needs.
std::string PlainWord(std::string word) {
  std::erase_if(word, [](char c) {
    return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
             c == '-');
  });
  return word.substr(0, kMostNameBytes);
}

void CheckFunctionName(const std::string& name, const std::string& place) {
  if (name.empty() || name.size() > kMostNameBytes || PlainWord(name) != name)
    Refuse(place, "is not a name of 1 to 64 letters, digits, _ and -");
}

class Tools {
 public:
  explicit Tools(PreparedRequest& prepared) : prepared_(prepared) {}

  void Read(const OrderedJson& tools, const std::string& place) {
    if (!tools.is_array()) Refuse(place, "expected an array");
    for (size_t i = 0; i < tools.size(); ++i)
      ReadTool(RequestObject(tools[i], fmt::format("{}[{}]", place, i)));
  }
  std::vector<ToolDescription> Take() { return std::move(functions_); }

 private:
  // Of what is not run here a model knows nothing: such a tool is left out, and the answer says so.
  void ReadTool(const RequestObject& tool) {
    const std::string type = tool.String("type").value_or("");
    if (type == "function") {
      const auto function = tool.Object("function");
      if (!function) Refuse(tool.PlaceOf("function"), "is required");
      return ReadFunction(*function);
    }
    if (type == "namespace") {
      if (const OrderedJson* inner = tool.Find("tools")) return Read(*inner, tool.PlaceOf("tools"));
    }
    auto& skipped = prepared_.skipped_tools;
    std::string word = PlainWord(type);
    if (std::find(skipped.begin(), skipped.end(), word) == skipped.end()) skipped.push_back(std::move(word));
  }

  void ReadFunction(const RequestObject& function) {
    ToolDescription described;
    described.name = function.String("name").value_or("");
    CheckFunctionName(described.name, function.PlaceOf("name"));
    auto& names = prepared_.functions;
    if (std::find(names.begin(), names.end(), described.name) != names.end())
      Refuse(function.PlaceOf("name"), "is declared twice");
    described.description = function.String("description").value_or("");
    if (const OrderedJson* parameters = function.Find("parameters")) {
      if (!parameters->is_object()) Refuse(function.PlaceOf("parameters"), "expected an object");
      described.parameters_json = parameters->dump();
    }
    names.push_back(described.name);
    functions_.push_back(std::move(described));
  }

  PreparedRequest& prepared_;
  std::vector<ToolDescription> functions_;
};

// none: nothing is declared. What forces a call needs the model held to a grammar.
bool ToolsAreOffered(const RequestObject& request) {
  const OrderedJson* choice = request.Find("tool_choice");
  if (choice == nullptr || *choice == "auto") return true;
  if (*choice == "none") return false;
  Refuse("tool_choice", "only \"auto\" and \"none\" are known in this version, which cannot force a call");
}

class Messages {
 public:
  explicit Messages(Conversation& conversation) : conversation_(conversation) {}

  // system and developer are one thing here: instructions, which stand before everything.
  std::string instructions;

  void Read(const RequestObject& message) {
    const std::string role = message.String("role").value_or("");
    if (role == "system" || role == "developer") {
      instructions += (instructions.empty() ? "" : "\n\n") + Text(message);
    } else if (role == "user") {
      conversation_.messages.emplace_back(Role::kUser, Text(message));
    } else if (role == "assistant") {
      ReadAssistant(message);
    } else if (role == "tool" || role == "function") {
      ReadResult(message);
    } else {
      Refuse(message.PlaceOf("role"), "is none of system, developer, user, assistant, tool");
    }
  }

 private:
  static std::string Text(const RequestObject& message) {
    return TextOf(message.Required("content"), message.PlaceOf("content"));
  }

  void Say(std::string text, std::string_view channel) {
    Message said(Role::kAssistant, std::move(text));
    said.channel = std::string(channel);
    conversation_.messages.push_back(std::move(said));
  }

  // In the order in which a model writes them.
  void ReadAssistant(const RequestObject& message) {
    for (const char* key : {"reasoning", "reasoning_content", "thinking"}) {
      if (auto reasoning = message.String(key)) {
        if (!reasoning->empty()) Say(std::move(*reasoning), kAnalysisChannel);
        break;
      }
    }
    const OrderedJson* calls = message.Find("tool_calls");
    const bool calling = calls != nullptr && calls->is_array() && !calls->empty();
    if (const OrderedJson* content = message.Find("content")) {
      std::string text = TextOf(*content, message.PlaceOf("content"));
      if (!calling || !text.empty()) Say(std::move(text), calling ? kCommentaryChannel : kFinalChannel);
    }
    if (calls == nullptr) return;
    if (!calls->is_array()) Refuse(message.PlaceOf("tool_calls"), "expected an array");
    for (size_t i = 0; i < calls->size(); ++i)
      ReadCall(RequestObject((*calls)[i], fmt::format("{}[{}]", message.PlaceOf("tool_calls"), i)));
  }

  void ReadCall(const RequestObject& call) {
    const auto function = call.Object("function");
    if (!function) Refuse(call.PlaceOf("function"), "is required");
    const std::string name = function->String("name").value_or("");
    CheckFunctionName(name, function->PlaceOf("name"));
    names_[call.String("id").value_or("")] = name;
    Message said(Role::kAssistant, function->String("arguments").value_or(""));
    said.channel = std::string(kCommentaryChannel);
    said.recipient = std::string(kFunctionsPrefix) + name;
    said.content_type = "<|constrain|>json";
    conversation_.messages.push_back(std::move(said));
  }

  void ReadResult(const RequestObject& message) {
    const auto known = names_.find(message.String("tool_call_id").value_or(""));
    const std::string name = known != names_.end() ? known->second : message.String("name").value_or("");
    if (name.empty()) Refuse(message.PlaceOf("tool_call_id"), "belongs to no call before it");
    CheckFunctionName(name, message.PlaceOf("name"));
    Message result(Role::kTool, Text(message));
    result.name = std::string(kFunctionsPrefix) + name;
    result.recipient = std::string(Name(Role::kAssistant));
    result.channel = std::string(kCommentaryChannel);
    conversation_.messages.push_back(std::move(result));
  }

  Conversation& conversation_;
  std::map<std::string, std::string> names_;  // of calls, by their ids
};

int64_t MaxTokens(const RequestObject& request) {
  const auto wins = request.Integer("max_completion_tokens", 1, INT32_MAX);
  const auto old = request.Integer("max_tokens", 1, INT32_MAX);
  return wins.value_or(old.value_or(INT32_MAX));
}

void CheckResponseFormat(const RequestObject& request) {
  const auto format = request.Object("response_format");
  if (format && format->String("type").value_or("text") != "text")
    Refuse("response_format", "only {\"type\": \"text\"} is known in this version, which has no grammars");
}

}  // namespace

Conversation ReadConversation(const RequestObject& request, const RequestContext& context,
                              PreparedRequest& prepared) {
  OpeningOptions opening;
  opening.date = context.date;
  if (const auto effort = EffortOf(request, "reasoning_effort")) opening.reasoning_effort = *effort;
  if (const auto reasoning = request.Object("reasoning")) {
    if (const auto effort = EffortOf(*reasoning, "effort")) opening.reasoning_effort = *effort;
    if (reasoning->Bool("exclude").value_or(false)) prepared.reasoning_shown = false;
  }
  if (const auto keywords = request.Object("chat_template_kwargs")) {
    if (const auto effort = EffortOf(*keywords, "reasoning_effort")) opening.reasoning_effort = *effort;
    if (auto identity = keywords->String("model_identity")) opening.model_identity = std::move(*identity);
  }

  Conversation said;
  Messages reader(said);
  const OrderedJson& messages = request.Required("messages");
  if (!messages.is_array() || messages.empty())
    Refuse("messages", "expected an array of at least one message");
  for (size_t i = 0; i < messages.size(); ++i)
    reader.Read(RequestObject(messages[i], fmt::format("messages[{}]", i)));
  opening.instructions = std::move(reader.instructions);

  if (const OrderedJson* declared = request.Find("tools")) {
    Tools tools(prepared);
    tools.Read(*declared, "tools");
    if (ToolsAreOffered(request)) opening.functions = tools.Take();
  } else {
    ToolsAreOffered(request);
  }
  prepared.calls_allowed = !opening.functions.empty();
  if (!prepared.calls_allowed) prepared.functions.clear();

  Conversation conversation = OpeningMessages(opening);
  conversation.messages.insert(conversation.messages.end(), std::make_move_iterator(said.messages.begin()),
                               std::make_move_iterator(said.messages.end()));
  return conversation;
}

PreparedRequest ReadChatRequest(const RequestObject& request, const RequestContext& context) {
  PreparedRequest prepared;
  AnswerOptions options;
  CheckFields(Api::kChat, request);
  CheckResponseFormat(request);
  ReadCommonFields(request, prepared, options);
  const Conversation conversation = ReadConversation(request, context, prepared);

  prepared.reasoning_shown = request.Bool("include_reasoning").value_or(prepared.reasoning_shown);
  options.max_reasoning_tokens = request.Integer("max_reasoning_tokens", 0, INT32_MAX).value_or(-1);
  if (const auto reasoning = request.Object("reasoning")) {
    options.max_reasoning_tokens =
        reasoning->Integer("max_tokens", 0, INT32_MAX).value_or(options.max_reasoning_tokens);
  }
  const auto top = request.Integer("top_logprobs", 0, kMostTopLogprobs);
  if (request.Bool("logprobs").value_or(false)) {
    prepared.top_logprobs = static_cast<int32_t>(top.value_or(0));
  } else if (top.value_or(0) > 0) {
    Refuse("top_logprobs", "means something only beside logprobs: true");
  }

  options.max_new_tokens = MaxTokens(request);
  options.routing = context.routing;
  options.mask = context.model->sampling_mask();
  options.functions = prepared.functions;
  prepared.answers_of_a_prompt = request.Integer("n", 1, kMostAnswers).value_or(1);
  AddAnswers(prepared, options, prepared.answers_of_a_prompt, [&](const AnswerOptions& of_one) {
    AnswerRequest answer =
        ChatRequest(conversation, context.model->tokenizer(), context.model->harmony(), of_one);
    answer.request.top_logprobs = prepared.top_logprobs;
    return answer;
  });
  return prepared;
}

}  // namespace oxidized::server
