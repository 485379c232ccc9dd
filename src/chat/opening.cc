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
  if (!options.instructions.empty() || !options.functions.empty()) {
    DeveloperContent developer;
    if (!options.instructions.empty()) developer.instructions = options.instructions;
    if (!options.functions.empty()) developer.SetFunctions(options.functions);
    conversation.messages.emplace_back(Role::kDeveloper, std::move(developer));
  }
  return conversation;
}

}  // namespace oxidized
