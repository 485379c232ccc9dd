// Tokens and merges of a vocabulary as the text that tokenizer.json and GGUF write them in. Called by the
// writers of both.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace oxidized {

// GPT-2's printable form of bytes: " the" is "Ġthe".
std::string EncodeByteText(std::string_view bytes);

// "left right" of every pair of tokens that merges, in the order of merging. Of a vocabulary whose ids are
// ranks: every split of a token into two tokens, by (token, left, right), as converters from tiktoken list
// them.
std::vector<std::string> MergeTexts(const Vocabulary& vocabulary);

}  // namespace oxidized
