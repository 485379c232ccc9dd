#include "harmony/string_forms.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "harmony/conversation_json.h"
#include "harmony/json_text.h"
#include "harmony/parser.h"

namespace oxidized {
namespace {

StreamParser ParserFor(std::span<const int32_t> ids, const HarmonyTokens& tokens,
                       const Tokenizer& tokenizer) {
  const bool names_roles = !ids.empty() && ids.front() == tokens.start;
  return {tokens, tokenizer, names_roles ? std::nullopt : std::optional(Role::kAssistant)};
}

std::string EventJson(const ParseEvent& event) {
  OrderedJson out;
  switch (event.kind) {
    case ParseEvent::Kind::kBegin: {
      const Message& message = *event.message;
      out = {{"event", "begin"}, {"role", std::string(Name(message.role))}};
      const std::pair<const char*, const std::optional<std::string>&> fields[] = {
          {"name", message.name},
          {"channel", message.channel},
          {"recipient", message.recipient},
          {"content_type", message.content_type}};
      for (const auto& [key, value] : fields) {
        if (value) out[key] = *value;
      }
      break;
    }
    case ParseEvent::Kind::kDelta:
      out = {{"event", "delta"}, {"text", std::string(event.delta)}};
      break;
    case ParseEvent::Kind::kEnd:
      out = {{"event", "end"}, {"terminator", std::string(Name(event.terminator))}};
      break;
  }
  return out.dump();
}

}  // namespace

std::string HarmonyRender(std::string_view conversation_json, const std::string& name, bool as_text,
                          const RenderOptions& options, const Tokenizer* tokenizer) {
  const Conversation conversation = ParseConversationJson(conversation_json, name);
  if (as_text) return RenderText(conversation, Role::kAssistant, options);
  OX_CHECK(tokenizer != nullptr);
  const HarmonyTokens tokens = HarmonyTokens::Resolve(*tokenizer);
  std::string out;
  for (const int32_t id : RenderForCompletion(conversation, Role::kAssistant, *tokenizer, tokens, options)) {
    if (!out.empty()) out += ' ';
    out += std::to_string(id);
  }
  return out;
}

std::vector<int32_t> ParseTokenIds(std::string_view text, const std::string& name) {
  std::vector<int32_t> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (std::string_view(" \t\r\n,[]").find(*at) != std::string_view::npos) {
      ++at;
      continue;
    }
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error == std::errc::result_out_of_range && *at != '-')
      Fail(ErrorKind::kBadFile, "{}: {} at byte {} is larger than any token id", name,
           std::string_view(at, std::min<size_t>(40, static_cast<size_t>(next - at))), at - text.data());
    if (error != std::errc() || id < 0) {
      Fail(ErrorKind::kBadFile, "{}: found {} at byte {}, expected token ids (decimal numbers)", name,
           OrderedJson(std::string(at, std::min<size_t>(8, static_cast<size_t>(end - at))))
               .dump(-1, ' ', true, OrderedJson::error_handler_t::replace),
           at - text.data());
    }
    ids.push_back(id);
    at = next;
  }
  return ids;
}

std::string HarmonyParse(std::span<const int32_t> ids, const Tokenizer& tokenizer) {
  const HarmonyTokens tokens = HarmonyTokens::Resolve(tokenizer);
  StreamParser parser = ParserFor(ids, tokens, tokenizer);
  for (const int32_t id : ids) parser.Push(id);
  parser.Finish();
  Conversation conversation;
  conversation.messages.assign(parser.messages().begin(), parser.messages().end());
  return WriteConversationJson(conversation, 2);
}

void HarmonyParseStream(std::span<const int32_t> ids, const Tokenizer& tokenizer,
                        const std::function<void(std::string_view)>& line) {
  const HarmonyTokens tokens = HarmonyTokens::Resolve(tokenizer);
  StreamParser parser = ParserFor(ids, tokens, tokenizer);
  for (const int32_t id : ids) {
    for (const ParseEvent& event : parser.Push(id)) line(EventJson(event));
  }
  for (const ParseEvent& event : parser.Finish()) line(EventJson(event));
}

}  // namespace oxidized
