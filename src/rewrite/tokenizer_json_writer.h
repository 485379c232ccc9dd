// A vocabulary as Hugging Face's tokenizer.json, for checkpoints whose tokenizer came out of a GGUF file: the
// counterpart of tokenizer/tokenizer_json.cc. Called by convert.
#pragma once

#include <string>

#include "tokenizer/vocabulary.h"

namespace oxidized {

// Byte-level BPE, split by the vocabulary's pattern, merges in the order of their ranks.
std::string TokenizerJson(const Vocabulary& vocabulary);

}  // namespace oxidized
