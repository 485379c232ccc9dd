#include "harmony/render.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "harmony/header_text.h"
#include "harmony/json_text.h"
#include "harmony/typescript.h"

namespace oxidized {
namespace {

constexpr std::string_view kFunctions = "functions";
constexpr std::string_view kFunctionsPrefix = "functions.";

// Where a message's pieces go: ids, or their text. The pieces stay apart, because the format encodes each by
// itself.
class IdSink {
 public:
  IdSink(const Tokenizer& tokenizer, const HarmonyTokens& tokens) : tokenizer_(tokenizer), tokens_(tokens) {}
  void Text(std::string_view text) { tokenizer_.Encode(text, ids); }
  void Special(int32_t HarmonyTokens::* token, std::string_view) { ids.push_back(tokens_.*token); }

  std::vector<int32_t> ids;

 private:
  const Tokenizer& tokenizer_;
  const HarmonyTokens& tokens_;
};

class TextSink {
 public:
  void Text(std::string_view piece) { text += piece; }
  void Special(int32_t HarmonyTokens::*, std::string_view name) { text += name; }

  std::string text;
};

std::string JoinSections(const std::vector<std::string>& sections, std::string_view separator) {
  std::string out;
  for (const std::string& section : sections) {
    if (&section != &sections.front()) out += separator;
    out += section;
  }
  return out;
}

// Lines as Rust's str::lines gives them: a final newline ends the last line, and CR goes with its LF only.
std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    if (newline != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
  }
  return lines;
}

std::string FormatNamespace(const ToolNamespace& space) {
  std::vector<std::string> items = {"## " + space.name + "\n"};
  const auto append_lines = [&](std::string_view text, std::string_view prefix) {
    for (const std::string_view line : Lines(text)) items.push_back(std::string(prefix) += line);
  };
  append_lines(space.description.value_or(""), space.tools.empty() ? "" : "// ");
  if (!space.tools.empty()) {
    items.push_back("namespace " + space.name + " {\n");
    for (const ToolDescription& tool : space.tools) {
      append_lines(tool.description, "// ");
      const std::string argument =
          tool.parameters_json
              ? "_: " + TypeScriptOf(*tool.parameters_json, "parameters of " + space.name + "." + tool.name)
              : "";
      items.push_back("type " + tool.name + " = (" + argument + ") => any;\n");
    }
    items.push_back("} // namespace " + space.name);
  }
  return JoinSections(items, "\n");
}

std::string FormatTools(const ToolNamespaces& tools) {
  std::string out = "# Tools";
  for (const auto& [key, space] : tools) out += "\n\n" + FormatNamespace(space);
  return out;
}

std::string FormatResponseFormats(const std::vector<ResponseFormat>& formats) {
  std::string out = "# Response Formats";
  for (const ResponseFormat& format : formats) {
    out += "\n\n## " + format.name + "\n\n";
    if (format.description) out += "// " + *format.description + "\n";
    out += CompactJson(ParseJson(format.schema_json, "schema of response format " + format.name));
  }
  return out;
}

bool HasFunctionTools(const Conversation& conversation) {
  for (const Message& message : conversation.messages) {
    for (const Content& part : message.content) {
      const auto* developer = std::get_if<DeveloperContent>(&part);
      if (!developer) continue;
      const auto found = developer->tools.find(std::string(kFunctions));
      if (found != developer->tools.end() && !found->second.tools.empty()) return true;
    }
  }
  return false;
}

std::string FormatContent(const Message& message, const Content& part, bool has_function_tools) {
  if (const auto* system = std::get_if<SystemContent>(&part)) {
    if (message.role != Role::kSystem) {
      Fail(ErrorKind::kBadFile, "conversation: system content in a {} message, expected a system message",
           Name(message.role));
    }
    return FormatSystemContent(*system, has_function_tools);
  }
  if (message.role != Role::kDeveloper) {
    Fail(ErrorKind::kBadFile, "conversation: developer content in a {} message, expected a developer message",
         Name(message.role));
  }
  return FormatDeveloperContent(std::get<DeveloperContent>(part));
}

template <typename Sink>
void Render(const Message& message, bool has_function_tools, Sink& sink) {
  sink.Special(&HarmonyTokens::start, "<|start|>");
  if (message.role == Role::kTool) {
    if (!message.name) {
      Fail(ErrorKind::kBadFile,
           "conversation: tool message without a name, expected one such as functions.lookup");
    }
    sink.Text(*message.name);
  } else {
    sink.Text(Name(message.role));
    if (message.name) sink.Text(":" + *message.name);
  }
  if (message.recipient && *message.recipient != "all") sink.Text(" to=" + *message.recipient);
  if (message.channel) {
    sink.Special(&HarmonyTokens::channel, "<|channel|>");
    sink.Text(*message.channel);
  }
  if (message.content_type) {
    if (message.content_type->starts_with(kConstrainMarker)) {
      sink.Text(" ");
      sink.Special(&HarmonyTokens::constrain, kConstrainMarker);
      sink.Text(std::string_view(*message.content_type).substr(kConstrainMarker.size()));
    } else {
      sink.Text(" " + *message.content_type);
    }
  }
  sink.Special(&HarmonyTokens::message, "<|message|>");
  for (const Content& part : message.content) {
    if (const auto* text = std::get_if<std::string>(&part)) {
      sink.Text(*text);
    } else {
      sink.Text(FormatContent(message, part, has_function_tools));
    }
  }
  if (message.role == Role::kAssistant && message.recipient) {
    sink.Special(&HarmonyTokens::call, "<|call|>");
  } else {
    sink.Special(&HarmonyTokens::end, "<|end|>");
  }
}

bool IsFinal(const Message& message) { return message.channel == kFinalChannel; }
bool IsAnalysis(const Message& message) { return message.channel == kAnalysisChannel; }

// A function call or its result belongs into commentary; one that went to the analysis channel by mistake is
// kept all the same, because its other half is.
bool IsFunctionTraffic(const Message& message) {
  return (message.recipient && message.recipient->starts_with(kFunctionsPrefix)) ||
         (message.role == Role::kTool && message.name && message.name->starts_with(kFunctionsPrefix));
}

std::vector<bool> DroppedByLibrary(const std::vector<Message>& messages) {
  std::vector<bool> dropped(messages.size(), false);
  const auto is_assistant = [](const Message& message) { return message.role == Role::kAssistant; };
  const auto last = std::find_if(messages.rbegin(), messages.rend(), is_assistant);
  if (last == messages.rend() || !IsFinal(*last)) return dropped;
  for (size_t i = 0; i < messages.size() && !IsFinal(messages[i]); ++i) dropped[i] = IsAnalysis(messages[i]);
  return dropped;
}

std::vector<bool> DroppedPerTurn(const std::vector<Message>& messages) {
  std::vector<bool> dropped(messages.size(), false);
  bool turn_is_finished = false;
  for (size_t i = messages.size(); i-- > 0;) {
    const Message& message = messages[i];
    if (message.role == Role::kUser) turn_is_finished = false;
    if (message.role == Role::kAssistant && IsFinal(message)) turn_is_finished = true;
    dropped[i] = turn_is_finished && IsAnalysis(message) && !IsFunctionTraffic(message);
  }
  return dropped;
}

std::vector<bool> Dropped(const std::vector<Message>& messages, DropRule rule) {
  switch (rule) {
    case DropRule::kPerTurn:
      return DroppedPerTurn(messages);
    case DropRule::kLibrary:
      return DroppedByLibrary(messages);
    case DropRule::kNone:
      break;
  }
  return std::vector<bool>(messages.size(), false);
}

template <typename Sink>
void Render(const Conversation& conversation, std::optional<Role> next_role, const RenderOptions& options,
            Sink& sink) {
  const bool has_function_tools = HasFunctionTools(conversation);
  const std::vector<bool> dropped = Dropped(conversation.messages, options.drop);
  for (size_t i = 0; i < conversation.messages.size(); ++i) {
    if (!dropped[i]) Render(conversation.messages[i], has_function_tools, sink);
  }
  if (next_role) {
    sink.Special(&HarmonyTokens::start, "<|start|>");
    sink.Text(Name(*next_role));
  }
}

}  // namespace

std::optional<DropRule> ParseDropRule(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, DropRule>, 3> kRules = {
      {{"turn", DropRule::kPerTurn}, {"library", DropRule::kLibrary}, {"none", DropRule::kNone}}};
  for (const auto& [rule_name, rule] : kRules) {
    if (rule_name == name) return rule;
  }
  return std::nullopt;
}

std::string FormatSystemContent(const SystemContent& content, bool has_function_tools) {
  std::vector<std::string> sections;
  std::vector<std::string> identity;
  if (content.model_identity) identity.push_back(*content.model_identity);
  if (content.knowledge_cutoff) identity.push_back("Knowledge cutoff: " + *content.knowledge_cutoff);
  if (content.conversation_start_date)
    identity.push_back("Current date: " + *content.conversation_start_date);
  if (!identity.empty()) sections.push_back(JoinSections(identity, "\n"));
  if (content.reasoning_effort) {
    sections.push_back(std::string("Reasoning: ") += Name(*content.reasoning_effort));
  }
  if (!content.tools.empty()) sections.push_back(FormatTools(content.tools));
  if (content.channel_config && !content.channel_config->valid_channels.empty()) {
    std::string channels =
        "# Valid channels: " + JoinSections(content.channel_config->valid_channels, ", ") + ".";
    if (content.channel_config->channel_required) channels += " Channel must be included for every message.";
    if (has_function_tools) {
      channels += "\nCalls to these tools must go to the commentary channel: 'functions'.";
    }
    sections.push_back(std::move(channels));
  }
  return JoinSections(sections, "\n\n");
}

std::string FormatDeveloperContent(const DeveloperContent& content) {
  std::vector<std::string> sections;
  if (content.instructions) sections.push_back("# Instructions\n\n" + *content.instructions);
  if (!content.tools.empty()) sections.push_back(FormatTools(content.tools));
  if (!content.response_formats.empty()) sections.push_back(FormatResponseFormats(content.response_formats));
  return JoinSections(sections, "\n\n");
}

std::vector<int32_t> RenderConversation(const Conversation& conversation, const Tokenizer& tokenizer,
                                        const HarmonyTokens& tokens, const RenderOptions& options) {
  IdSink sink(tokenizer, tokens);
  Render(conversation, std::nullopt, options, sink);
  return std::move(sink.ids);
}

std::vector<int32_t> RenderForCompletion(const Conversation& conversation, Role next_role,
                                         const Tokenizer& tokenizer, const HarmonyTokens& tokens,
                                         const RenderOptions& options) {
  IdSink sink(tokenizer, tokens);
  Render(conversation, next_role, options, sink);
  return std::move(sink.ids);
}

std::vector<int64_t> InstructionEnds(const Conversation& conversation, std::span<const int32_t> prompt,
                                     const HarmonyTokens& tokens) {
  const auto instructs = [](const Message& m) {
    return m.role == Role::kSystem || m.role == Role::kDeveloper;
  };
  const auto& messages = conversation.messages;
  auto left = std::find_if_not(messages.begin(), messages.end(), instructs) - messages.begin();
  std::vector<int64_t> ends;
  // No text can hold a special token: each <|end|> closes a message.
  for (size_t i = 0; i < prompt.size() && left > 0; ++i) {
    if (prompt[i] != tokens.end) continue;
    ends.push_back(static_cast<int64_t>(i) + 1);
    --left;
  }
  return ends;
}

std::vector<int32_t> RenderForTraining(const Conversation& conversation, const Tokenizer& tokenizer,
                                       const HarmonyTokens& tokens, const RenderOptions& options) {
  std::vector<int32_t> ids = RenderConversation(conversation, tokenizer, tokens, options);
  if (!conversation.messages.empty()) {
    const Message& last = conversation.messages.back();
    if (last.role == Role::kAssistant && IsFinal(last)) ids.back() = tokens.return_;
  }
  return ids;
}

std::vector<int32_t> RenderMessage(const Message& message, bool has_function_tools,
                                   const Tokenizer& tokenizer, const HarmonyTokens& tokens) {
  IdSink sink(tokenizer, tokens);
  Render(message, has_function_tools, sink);
  return std::move(sink.ids);
}

std::string RenderText(const Conversation& conversation, std::optional<Role> next_role,
                       const RenderOptions& options) {
  TextSink sink;
  Render(conversation, next_role, options, sink);
  return std::move(sink.text);
}

}  // namespace oxidized
