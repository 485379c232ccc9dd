// o200k_harmony, the vocabulary of the published gpt-oss models, built into the program (assets/README.md),
// and what recognises it in a tokenizer.json so that a file of 28 MB need not be read into tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace oxidized {

inline constexpr int32_t kO200kTokens = 199'998;  // ordinary tokens of o200k_base
inline constexpr int32_t kHarmonyIds = 201'088;   // rows of the published models' embedding

// Special tokens of o200k_harmony, ids kO200kTokens to kHarmonyIds - 1. `name`: the file, in messages.
void AddHarmonySpecials(Vocabulary& vocabulary, const std::string& name);

// The ordinary tokens of o200k_base, from the built-in asset; ids are ranks.
TokenTable O200kTokens();

// o200k_harmony complete.
Vocabulary O200kHarmony();

// A tokenizer.json whose model.vocab and model.merges are o200k_base's, all tokens and all merges in order,
// with those two emptied: "{}" and "[]". nullopt: it is another vocabulary, or written in a way that this
// scan does not know; the reader of tokenizer.json then decides. What surrounds the two is copied unseen.
std::optional<std::string> WithoutO200kTables(std::string_view json, const TokenTable& o200k);

// One merge into `result` whose left token has `cut` bytes, mixed into 64 bits: their sum over all merges of
// o200k_base is what the scan above compares with.
uint64_t MergeDigest(int32_t result, size_t cut);

}  // namespace oxidized
