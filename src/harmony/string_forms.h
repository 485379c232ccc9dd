// The work of `harmony render` and `harmony parse` on strings; the command line reads the files and prints.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harmony/render.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

// Conversation JSON -> the completion prompt as ids separated by spaces, or (`as_text`) its text with special
// tokens spelled out; `tokenizer` may be null for text. Throws Error(kBadFile).
std::string HarmonyRender(std::string_view conversation_json, const std::string& name, bool as_text,
                          const RenderOptions& options, const Tokenizer* tokenizer);

// Ids from text: decimal numbers separated by white space or commas, in brackets or not. Throws
// Error(kBadFile).
std::vector<int32_t> ParseTokenIds(std::string_view text, const std::string& name);

// Ids -> {"messages": […]}, indented. A stream that begins with <|start|> carries its roles; any other
// continues a prompt of the assistant.
std::string HarmonyParse(std::span<const int32_t> ids, const Tokenizer& tokenizer);

// The same as one line of JSON for each event, given to `line` as the events come:
// {"event":"begin","role":…,"channel":…}, {"event":"delta","text":…}, {"event":"end","terminator":…}.
void HarmonyParseStream(std::span<const int32_t> ids, const Tokenizer& tokenizer,
                        const std::function<void(std::string_view)>& line);

}  // namespace oxidized
