// The vocabulary that a GGUF file carries, found when the model is opened and read only when a tokenizer is
// asked for: half a million strings that most commands never need.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "checkpoint/gguf/gguf.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

// Views into the file, which must outlive it; not yet checked.
struct EmbeddedVocabulary {
  GgufValue tokens;                 // tokenizer.ggml.tokens, in id order
  std::optional<GgufValue> kinds;   // .token_type
  std::optional<GgufValue> merges;  // .merges
  std::string model, split;         // .model, .pre; empty: absent
  std::string source;               // the file, in messages
};

// nullopt: the file has none.
std::optional<EmbeddedVocabulary> FindVocabulary(const Gguf& gguf, const std::string& source);

// Refers to nothing afterwards. Throws Error(kBadFile) for damage, Error(kUnsupported) for a vocabulary that
// is not byte-level BPE or is split by another rule than o200k's.
std::unique_ptr<Tokenizer> MakeTokenizer(const EmbeddedVocabulary& vocabulary);

}  // namespace oxidized
