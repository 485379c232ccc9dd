// A Harmony conversation as plain data: what the renderer turns into tokens and the stream parser gives back.
//
// Not the request format of any API and not JSON: `conversation_json.h` reads and writes openai-harmony's own
// form. JSON schemas are held as JSON text, so that this header stays light; the renderer parses them in
// document order.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace oxidized {

enum class Role : uint8_t { kSystem, kDeveloper, kUser, kAssistant, kTool };
std::string_view Name(Role role);  // "system", …, as in the header of a message
std::optional<Role> ParseRole(std::string_view name);

// Channels of assistant messages. A message keeps its channel as text, because a model may write anything
// there.
inline constexpr std::string_view kAnalysisChannel = "analysis";
inline constexpr std::string_view kCommentaryChannel = "commentary";
inline constexpr std::string_view kFinalChannel = "final";

enum class ReasoningEffort : uint8_t { kLow, kMedium, kHigh };
std::string_view Name(ReasoningEffort effort);  // "low", "medium", "high"
std::optional<ReasoningEffort> ParseReasoningEffort(std::string_view name);

struct ToolDescription {
  std::string name;         // without its namespace
  std::string description;  // each line becomes a comment
  // JSON schema of the one argument, as JSON text; nullopt: the function has no argument.
  std::optional<std::string> parameters_json;

  bool operator==(const ToolDescription&) const = default;
};

struct ToolNamespace {
  std::string name;
  std::optional<std::string> description;
  std::vector<ToolDescription> tools;  // empty: the description alone is the tool (python)

  bool operator==(const ToolNamespace&) const = default;
};

// Keyed by name; rendered in the byte order of the keys.
using ToolNamespaces = std::map<std::string, ToolNamespace>;

// The built-in tools of the format; they belong into the system message.
const ToolNamespace& BrowserTool();
const ToolNamespace& PythonTool();

struct ChannelConfig {
  std::vector<std::string> valid_channels;
  bool channel_required = false;

  bool operator==(const ChannelConfig&) const = default;
};

struct SystemContent {
  std::optional<std::string> model_identity = "You are ChatGPT, a large language model trained by OpenAI.";
  std::optional<ReasoningEffort> reasoning_effort = ReasoningEffort::kMedium;
  std::optional<std::string> conversation_start_date;  // ISO date
  std::optional<std::string> knowledge_cutoff = "2024-06";
  std::optional<ChannelConfig> channel_config =
      ChannelConfig{.valid_channels = {std::string(kAnalysisChannel), std::string(kCommentaryChannel),
                                       std::string(kFinalChannel)},
                    .channel_required = true};
  ToolNamespaces tools;

  bool operator==(const SystemContent&) const = default;
};

struct ResponseFormat {
  std::string name;
  std::optional<std::string> description;
  std::string schema_json;

  bool operator==(const ResponseFormat&) const = default;
};

struct DeveloperContent {
  std::optional<std::string> instructions;
  ToolNamespaces tools;
  std::vector<ResponseFormat> response_formats;  // documented by the format, unknown to openai-harmony

  bool operator==(const DeveloperContent&) const = default;
  // Declares functions in the namespace `functions`, as every client of an API does.
  void SetFunctions(std::vector<ToolDescription> functions) {
    tools["functions"] = ToolNamespace{.name = "functions", .description = {}, .tools = std::move(functions)};
  }
};

using Content = std::variant<std::string, SystemContent, DeveloperContent>;

struct MessageHeader {
  Role role = Role::kUser;
  std::optional<std::string> name;  // of a tool ("functions.get_weather") or of one of several users
  std::optional<std::string> recipient;
  std::optional<std::string> channel;
  std::optional<std::string> content_type;

  bool operator==(const MessageHeader&) const = default;
};

struct Message : MessageHeader {
  std::vector<Content> content;

  Message() = default;
  Message(Role message_role, Content part) : content{std::move(part)} { role = message_role; }

  // The text parts joined without separator; system and developer content has no text of its own.
  std::string Text() const;

  bool operator==(const Message&) const = default;
};

struct Conversation {
  std::vector<Message> messages;

  bool operator==(const Conversation&) const = default;
};

// What a message is to a reader, whatever the model wrote into its header: an unknown channel that begins
// with a known name is that channel, any other unknown one is analysis; without a channel a message with a
// recipient is commentary, one without is final.
enum class ChannelKind : uint8_t { kAnalysis, kCommentary, kFinal };
ChannelKind KindOf(const MessageHeader& header);

// Whether a recipient is a tool: "python", or a name in a namespace ("functions.get_weather",
// "browser.open"). Models write other words in its place ("json", "code", "all", "assistantassistant"), which
// are none.
bool NamesTool(std::string_view recipient);
// Whether a message calls a tool. What stands in the final channel is the answer, whatever else its header
// says.
bool IsCall(const MessageHeader& header);

}  // namespace oxidized
