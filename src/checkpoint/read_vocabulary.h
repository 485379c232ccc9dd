// The vocabulary of a tokenizer file by itself, for writing it into another one; who encodes text uses
// tokenizer/tokenizer.h. Called by convert and synth.
#pragma once

#include <filesystem>

#include "tokenizer/vocabulary.h"

namespace oxidized {

// tokenizer.json or a tiktoken rank file, told apart by the first character. Throws Error(kBadFile).
Vocabulary ReadVocabulary(const std::filesystem::path& path);

}  // namespace oxidized
