// Conversations in openai-harmony's own JSON form, what `Conversation.to_json()` of the Python package gives:
// {"messages": [{"role", "name", "content": text or [{"type", …}], "channel", "recipient", "content_type"}]}.
// Used by `harmony render`, `harmony parse` and the /save and /load of the terminal program.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harmony/conversation.h"

namespace oxidized {

// A field left out is absent, not a default, as in the package's renderer. Unknown fields are ignored. Throws
// Error(kBadFile) naming `name`, the place in the document, what was found and what was expected.
Conversation ParseConversationJson(std::string_view json, const std::string& name);

// indent < 0: one line. Invalid UTF-8 in a text is repaired.
std::string WriteConversationJson(const Conversation& conversation, int indent = -1);
std::string WriteMessageJson(const Message& message);  // one line

}  // namespace oxidized
