#include "chat/opening.h"

#include <utility>

namespace oxidized {

Conversation OpeningMessages(const OpeningOptions& options) {
  SystemContent system;
  if (options.model_identity) system.model_identity = options.model_identity;
  system.reasoning_effort = options.reasoning_effort;
  system.conversation_start_date = options.date;
  Conversation conversation;
  conversation.messages.emplace_back(Role::kSystem, std::move(system));
  if (!options.instructions.empty()) {
    DeveloperContent developer;
    developer.instructions = options.instructions;
    conversation.messages.emplace_back(Role::kDeveloper, std::move(developer));
  }
  return conversation;
}

}  // namespace oxidized
