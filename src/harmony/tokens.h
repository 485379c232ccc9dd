// The special tokens that make Harmony's structure, looked up once in a tokenizer by their names.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tokenizer/tokenizer.h"

namespace oxidized {

struct HarmonyTokens {
  // Throws Error(kBadFile) naming the special token that the vocabulary lacks.
  static HarmonyTokens Resolve(const Tokenizer& tokenizer);

  int32_t start, end, message, channel, constrain, return_, call;
  int32_t end_of_text;    // -1: the vocabulary has none
  int32_t first_special;  // every id below is ordinary text: the parser's fast test
};

// The text of the ids with special tokens spelled out: a debugging form, not a prompt. Ids that the
// vocabulary lacks and bytes that are not UTF-8 become U+FFFD.
std::string ToText(std::span<const int32_t> ids, const Tokenizer& tokenizer);

}  // namespace oxidized
