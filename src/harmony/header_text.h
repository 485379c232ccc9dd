// The text between <|start|> and <|message|>: what it means, complete or damaged. Markers stand in it spelled
// out. Used by the stream parser alone; no state, no tokens. Every function is total.
//
// A complete header means what it means to openai-harmony, except where that would lose the message: the
// package takes a marker, a glued `to=` or a bare channel name for a recipient or a tool.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "harmony/conversation.h"

namespace oxidized {

inline constexpr std::string_view kChannelMarker = "<|channel|>";
inline constexpr std::string_view kConstrainMarker = "<|constrain|>";

// A header that <|message|> has ended. `role`: known from the prompt; nullopt: the header names it.
MessageHeader ParseHeader(std::string_view text, std::optional<Role> role);

// A header that never met its <|message|>: as much of a header as its beginning makes, the rest is content.
struct BrokenHeader {
  MessageHeader header;
  bool names_something = false;  // a channel or a recipient was found
  std::string content;           // without markers
};
BrokenHeader SplitBrokenHeader(std::string_view text, std::optional<Role> role);

// More words than any header has: no <|message|> can make it one.
bool IsTooLongForHeader(std::string_view text, std::optional<Role> role);

// Whether text without any marker may still be the beginning of a header: a role's word, `to=…`, the name of
// a channel, a tool's recipient or a bare content type. Everything else is an answer without a header.
bool CanBeginHeader(std::string_view text);

}  // namespace oxidized
