#include "chat/chat_history.h"

#include <algorithm>
#include <utility>

#include "tokenizer/utf8_stream.h"

namespace oxidized {
namespace {

bool IsQuestion(const Message& message) { return message.role == Role::kUser; }
bool IsDeveloper(const Message& message) { return message.role == Role::kDeveloper; }

}  // namespace

ChatHistory::ChatHistory(OpeningOptions opening)
    : opening_(std::move(opening)), conversation_(OpeningMessages(opening_)) {}

std::string ChatHistory::instructions() const {
  const auto& messages = conversation_.messages;
  const auto developer = std::find_if(messages.begin(), messages.end(), IsDeveloper);
  if (developer == messages.end() || developer->content.empty()) return "";
  const auto* content = std::get_if<DeveloperContent>(&developer->content.front());
  return content != nullptr ? content->instructions.value_or("") : "";
}

void ChatHistory::SetInstructions(std::string text) {
  opening_.instructions = RepairUtf8(text);
  auto& messages = conversation_.messages;
  const auto developer = std::find_if(messages.begin(), messages.end(), IsDeveloper);
  if (developer != messages.end()) messages.erase(developer);
  const Conversation opening = OpeningMessages(opening_);
  if (opening.messages.size() == 1) return;
  const bool has_system = !messages.empty() && messages.front().role == Role::kSystem;
  messages.insert(messages.begin() + (has_system ? 1 : 0), opening.messages.back());
}

void ChatHistory::SetReasoningEffort(ReasoningEffort effort) {
  opening_.reasoning_effort = effort;
  for (Message& message : conversation_.messages) {
    for (Content& content : message.content) {
      if (auto* system = std::get_if<SystemContent>(&content)) system->reasoning_effort = effort;
    }
  }
}

void ChatHistory::Replace(Conversation conversation) {
  conversation_ = std::move(conversation);
  for (const Message& message : conversation_.messages) {
    for (const Content& content : message.content) {
      const auto* system = std::get_if<SystemContent>(&content);
      if (system != nullptr && system->reasoning_effort)
        opening_.reasoning_effort = *system->reasoning_effort;
    }
  }
}

void ChatHistory::Say(std::string text) {
  conversation_.messages.emplace_back(Role::kUser, RepairUtf8(text));
}

void ChatHistory::Add(std::span<const Message> answer) {
  conversation_.messages.insert(conversation_.messages.end(), answer.begin(), answer.end());
}

std::vector<Message>::iterator ChatHistory::LastQuestion() {
  auto& messages = conversation_.messages;
  const auto last = std::find_if(messages.rbegin(), messages.rend(), IsQuestion);
  return last == messages.rend() ? messages.end() : std::prev(last.base());
}

bool ChatHistory::TakeBackAnswer() {
  const auto question = LastQuestion();
  if (question == conversation_.messages.end()) return false;
  conversation_.messages.erase(std::next(question), conversation_.messages.end());
  return true;
}

std::optional<std::string> ChatHistory::TakeBackQuestion() {
  const auto question = LastQuestion();
  if (question == conversation_.messages.end()) return std::nullopt;
  std::string text = question->Text();
  conversation_.messages.erase(question, conversation_.messages.end());
  return text;
}

bool ChatHistory::DropOldest() {
  auto& messages = conversation_.messages;
  const auto first = std::find_if(messages.begin(), messages.end(), IsQuestion);
  if (first == messages.end()) return false;
  messages.erase(first, std::find_if(std::next(first), messages.end(), IsQuestion));
  return true;
}

}  // namespace oxidized
