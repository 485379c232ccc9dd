// Conversation -> token ids, the same as OpenAI's openai-harmony gives (tests/golden/harmony). Special tokens
// are written for the structure alone: every text of a user, a tool or a developer is encoded as ordinary
// text, so it can never open or close a message. (A raw prompt is not a conversation and does not come here.)
//
// The inverse is parser.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harmony/conversation.h"
#include "harmony/tokens.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

// Which reasoning of earlier turns stays in the prompt.
enum class DropRule : uint8_t {
  kPerTurn,  // the format guide: a final message drops the analysis of its turn; function calls and results
             // stay
  kLibrary,  // openai-harmony: after a last final message, the analysis before the very first final
  kNone,     // everything stays
};
std::optional<DropRule> ParseDropRule(std::string_view name);  // "turn", "library", "none"

struct RenderOptions {
  DropRule drop = DropRule::kPerTurn;
};

// All throw Error(kBadFile) for a conversation that the format cannot express: a tool message without a name,
// system or developer content in a message of another role, a parameter schema that is not JSON.
std::vector<int32_t> RenderConversation(const Conversation& conversation, const Tokenizer& tokenizer,
                                        const HarmonyTokens& tokens, const RenderOptions& options = {});

// The same followed by the opening of the next message: generation begins behind it.
std::vector<int32_t> RenderForCompletion(const Conversation& conversation, Role next_role,
                                         const Tokenizer& tokenizer, const HarmonyTokens& tokens,
                                         const RenderOptions& options = {});

// Where in a conversation's rendered `prompt` each of its leading system and developer messages ends: behind
// these, other conversations go on differently.
std::vector<int64_t> InstructionEnds(const Conversation& conversation, std::span<const int32_t> prompt,
                                     const HarmonyTokens& tokens);

// The same as RenderConversation, but a final message at the end closes with <|return|>.
std::vector<int32_t> RenderForTraining(const Conversation& conversation, const Tokenizer& tokenizer,
                                       const HarmonyTokens& tokens, const RenderOptions& options = {});

// One message. `has_function_tools`: the conversation declares functions, which the system message mentions.
std::vector<int32_t> RenderMessage(const Message& message, bool has_function_tools,
                                   const Tokenizer& tokenizer, const HarmonyTokens& tokens);

// The text of RenderConversation (RenderForCompletion with `next_role`), special tokens spelled out; needs no
// tokenizer.
std::string RenderText(const Conversation& conversation, std::optional<Role> next_role = std::nullopt,
                       const RenderOptions& options = {});

// The text of a system or developer message.
std::string FormatSystemContent(const SystemContent& content, bool has_function_tools);
std::string FormatDeveloperContent(const DeveloperContent& content);

}  // namespace oxidized
