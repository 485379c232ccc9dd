// The messages that a conversation begins with: the system message and, if there are instructions or
// functions, the developer message.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harmony/conversation.h"

namespace oxidized {

struct OpeningOptions {
  std::string instructions;                   // empty: none
  std::optional<std::string> model_identity;  // nullopt: the format's own
  ReasoningEffort reasoning_effort = ReasoningEffort::kMedium;
  std::optional<std::string> date;              // ISO; nullopt: none
  std::vector<ToolDescription> functions = {};  // that may be called
};

Conversation OpeningMessages(const OpeningOptions& options);

}  // namespace oxidized
