// The tokenizer that belongs to a checkpoint: for running it, checking it, writing it into another file.
// Called by runtime, convert, synth and verify.
#pragma once

#include <memory>

#include "checkpoint/checkpoint.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

// Of the GGUF file itself, else of its tokenizer file, else o200k_harmony where the embedding has as many
// rows. nullptr: none is known. Throws Error(kBadFile, kUnsupported).
std::unique_ptr<Tokenizer> TokenizerOf(const Checkpoint& checkpoint);

// The special tokens that end a text and fill a batch, by name, as the published configuration has them; for
// configurations that do not say.
void TakeSpecialIds(const Tokenizer& tokenizer, ModelConfig& config);

}  // namespace oxidized
