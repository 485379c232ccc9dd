#include "harmony/conversation_json.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/printable.h"
#include "harmony/json_text.h"

namespace oxidized {
namespace {

// A value and its place in the document, for messages.
struct Place {
  const OrderedJson* value;
  std::string path;

  [[noreturn]] void Expected(std::string_view what) const {
    Fail(ErrorKind::kBadFile, "{}: found {}, expected {}", path, value->type_name(), what);
  }

  // Absent and null are the same.
  std::optional<Place> Optional(const char* key) const {
    if (!value->is_object()) Expected("an object");
    const OrderedJson* member = Member(*value, key);
    if (!member || member->is_null()) return std::nullopt;
    return Place{member, path + "." + key};
  }
  Place Required(const char* key) const {
    if (auto member = Optional(key)) return *member;
    Fail(ErrorKind::kBadFile, "{}: no member \"{}\"", path, key);
  }
  const std::string& String() const {
    if (!value->is_string()) Expected("a string");
    return value->get_ref<const std::string&>();
  }
  std::optional<std::string> OptionalString(const char* key) const {
    const auto member = Optional(key);
    return member ? std::optional(member->String()) : std::nullopt;
  }
  std::vector<Place> Elements() const {
    if (!value->is_array()) Expected("an array");
    std::vector<Place> elements;
    for (const OrderedJson& element : *value) {
      elements.push_back({&element, path + "[" + std::to_string(elements.size()) + "]"});
    }
    return elements;
  }
};

ToolDescription ReadTool(const Place& place) {
  ToolDescription tool{.name = place.Required("name").String(),
                       .description = place.Required("description").String(),
                       .parameters_json = std::nullopt};
  if (const auto parameters = place.Optional("parameters"))
    tool.parameters_json = CompactJson(*parameters->value);
  return tool;
}

ToolNamespaces ReadTools(const Place& content) {
  ToolNamespaces tools;
  const auto place = content.Optional("tools");
  if (!place) return tools;
  if (!place->value->is_object()) place->Expected("an object of namespaces");
  for (const auto& [key, value] : place->value->items()) {
    const Place space{&value, place->path + "." + key};
    ToolNamespace& read = tools[key];
    read.name = space.Required("name").String();
    read.description = space.OptionalString("description");
    for (const Place& tool : space.Required("tools").Elements()) read.tools.push_back(ReadTool(tool));
  }
  return tools;
}

SystemContent ReadSystemContent(const Place& place) {
  SystemContent content;
  content.model_identity = place.OptionalString("model_identity");
  content.conversation_start_date = place.OptionalString("conversation_start_date");
  content.knowledge_cutoff = place.OptionalString("knowledge_cutoff");
  content.tools = ReadTools(place);
  content.reasoning_effort = std::nullopt;
  if (const auto effort = place.Optional("reasoning_effort")) {
    std::string name = effort->String();
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    content.reasoning_effort = ParseReasoningEffort(name);
    if (!content.reasoning_effort) {
      Fail(ErrorKind::kBadFile, "{}: found \"{}\", expected Low, Medium or High", effort->path,
           EscapeUnprintable(effort->String()));
    }
  }
  content.channel_config = std::nullopt;
  if (const auto config = place.Optional("channel_config")) {
    ChannelConfig& channels = content.channel_config.emplace();
    for (const Place& channel : config->Required("valid_channels").Elements()) {
      channels.valid_channels.push_back(channel.String());
    }
    const Place required = config->Required("channel_required");
    if (!required.value->is_boolean()) required.Expected("true or false");
    channels.channel_required = required.value->get<bool>();
  }
  return content;
}

DeveloperContent ReadDeveloperContent(const Place& place) {
  DeveloperContent content;
  content.instructions = place.OptionalString("instructions");
  content.tools = ReadTools(place);
  if (const auto formats = place.Optional("response_formats")) {
    for (const Place& format : formats->Elements()) {
      content.response_formats.push_back({.name = format.Required("name").String(),
                                          .description = format.OptionalString("description"),
                                          .schema_json = CompactJson(*format.Required("schema").value)});
    }
  }
  return content;
}

Content ReadContent(const Place& place) {
  const Place type = place.Required("type");
  if (type.String() == "text") return place.Required("text").String();
  if (type.String() == "system_content") return ReadSystemContent(place);
  if (type.String() == "developer_content") return ReadDeveloperContent(place);
  Fail(ErrorKind::kBadFile, "{}: found \"{}\", expected text, system_content or developer_content", type.path,
       EscapeUnprintable(type.String()));
}

Message ReadMessage(const Place& place) {
  Message message;
  const Place role = place.Required("role");
  const auto known = ParseRole(role.String());
  if (!known) {
    Fail(ErrorKind::kBadFile, "{}: found \"{}\", expected system, developer, user, assistant or tool",
         role.path, EscapeUnprintable(role.String()));
  }
  message.role = *known;
  message.name = place.OptionalString("name");
  message.channel = place.OptionalString("channel");
  message.recipient = place.OptionalString("recipient");
  message.content_type = place.OptionalString("content_type");
  const Place content = place.Required("content");
  if (content.value->is_string()) {
    message.content.push_back(content.String());
  } else if (content.value->is_array()) {
    for (const Place& part : content.Elements()) message.content.push_back(ReadContent(part));
  } else {
    content.Expected("a string or an array of parts");
  }
  return message;
}

// Schemas inside an already parsed conversation are JSON by construction; one set by a caller may not be.
OrderedJson SchemaOf(const std::string& json, const std::string& owner) {
  return ParseJson(json, "schema of " + owner);
}

template <typename T>
void PutOptional(OrderedJson& object, const char* key, const std::optional<T>& value) {
  if (value) object[key] = *value;
}

void PutTools(OrderedJson& object, const ToolNamespaces& tools) {
  if (tools.empty()) return;
  OrderedJson& spaces = object["tools"] = OrderedJson::object();
  for (const auto& [key, space] : tools) {
    OrderedJson& out = spaces[key];
    out["name"] = space.name;
    PutOptional(out, "description", space.description);
    out["tools"] = OrderedJson::array();
    for (const ToolDescription& tool : space.tools) {
      OrderedJson described = {{"name", tool.name}, {"description", tool.description}};
      if (tool.parameters_json) described["parameters"] = SchemaOf(*tool.parameters_json, tool.name);
      out["tools"].push_back(std::move(described));
    }
  }
}

OrderedJson ToJson(const std::string& text) { return {{"type", "text"}, {"text", text}}; }

OrderedJson ToJson(const SystemContent& content) {
  OrderedJson out = OrderedJson::object();
  PutOptional(out, "model_identity", content.model_identity);
  if (content.reasoning_effort) {
    std::string effort(Name(*content.reasoning_effort));
    effort[0] = static_cast<char>(effort[0] - 32);  // "Low", as the package spells it
    out["reasoning_effort"] = std::move(effort);
  }
  PutOptional(out, "conversation_start_date", content.conversation_start_date);
  PutOptional(out, "knowledge_cutoff", content.knowledge_cutoff);
  if (content.channel_config) {
    out["channel_config"] = {{"valid_channels", content.channel_config->valid_channels},
                             {"channel_required", content.channel_config->channel_required}};
  }
  PutTools(out, content.tools);
  out["type"] = "system_content";
  return out;
}

OrderedJson ToJson(const DeveloperContent& content) {
  OrderedJson out = OrderedJson::object();
  PutOptional(out, "instructions", content.instructions);
  PutTools(out, content.tools);
  for (const ResponseFormat& format : content.response_formats) {
    OrderedJson described = {{"name", format.name}};
    PutOptional(described, "description", format.description);
    described["schema"] = SchemaOf(format.schema_json, format.name);
    out["response_formats"].push_back(std::move(described));
  }
  out["type"] = "developer_content";
  return out;
}

OrderedJson ToJson(const Message& message) {
  OrderedJson out = {{"role", std::string(Name(message.role))}, {"name", nullptr}};
  PutOptional(out, "name", message.name);
  out["content"] = OrderedJson::array();
  for (const Content& part : message.content) {
    out["content"].push_back(std::visit([](const auto& content) { return ToJson(content); }, part));
  }
  PutOptional(out, "channel", message.channel);
  PutOptional(out, "recipient", message.recipient);
  PutOptional(out, "content_type", message.content_type);
  return out;
}

std::string Dump(const OrderedJson& value, int indent) {
  return value.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace

Conversation ParseConversationJson(std::string_view json, const std::string& name) {
  const OrderedJson document = ParseJson(json, name);
  Conversation conversation;
  for (const Place& message : Place{&document, name}.Required("messages").Elements()) {
    conversation.messages.push_back(ReadMessage(message));
  }
  return conversation;
}

std::string WriteConversationJson(const Conversation& conversation, int indent) {
  OrderedJson document = {{"messages", OrderedJson::array()}};
  for (const Message& message : conversation.messages) document["messages"].push_back(ToJson(message));
  return Dump(document, indent);
}

std::string WriteMessageJson(const Message& message) { return Dump(ToJson(message), -1); }

}  // namespace oxidized
