// Token ids back to text, all at once (utf8_stream.h does it as they come).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tokenizer/tokenizer.h"

namespace oxidized {

// Special tokens are spelled out; bytes that are not UTF-8 become U+FFFD. Throws Error(kUsage) for an id that
// is not in the vocabulary.
std::string Decode(std::span<const int32_t> ids, const Tokenizer& tokenizer);

}  // namespace oxidized
