#include "harmony/conversation.h"

#include <array>

namespace oxidized {
namespace {

constexpr std::array<std::string_view, 5> kRoleNames = {"system", "developer", "user", "assistant", "tool"};
constexpr std::array<std::string_view, 3> kEffortNames = {"low", "medium", "high"};

template <typename Enum, size_t N>
std::optional<Enum> Find(const std::array<std::string_view, N>& names, std::string_view name) {
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view Name(Role role) { return kRoleNames[static_cast<size_t>(role)]; }
std::optional<Role> ParseRole(std::string_view name) { return Find<Role>(kRoleNames, name); }

std::string_view Name(ReasoningEffort effort) { return kEffortNames[static_cast<size_t>(effort)]; }
std::optional<ReasoningEffort> ParseReasoningEffort(std::string_view name) {
  return Find<ReasoningEffort>(kEffortNames, name);
}

std::string Message::Text() const {
  std::string text;
  for (const Content& part : content) {
    if (const auto* piece = std::get_if<std::string>(&part)) text += *piece;
  }
  return text;
}

ChannelKind KindOf(const MessageHeader& header) {
  if (!header.channel) return header.recipient ? ChannelKind::kCommentary : ChannelKind::kFinal;
  if (header.channel->starts_with(kFinalChannel)) return ChannelKind::kFinal;
  if (header.channel->starts_with(kCommentaryChannel)) return ChannelKind::kCommentary;
  return ChannelKind::kAnalysis;
}

bool NamesTool(std::string_view recipient) {
  if (recipient == PythonTool().name) return true;
  const size_t dot = recipient.find('.');
  return dot != 0 && dot != std::string_view::npos && dot + 1 < recipient.size();
}

bool IsCall(const MessageHeader& header) {
  return header.recipient && KindOf(header) != ChannelKind::kFinal && NamesTool(*header.recipient);
}

}  // namespace oxidized
