#include "checkpoint/checkpoint_tokenizer.h"

#include "checkpoint/embedded_vocabulary.h"
#include "tokenizer/o200k.h"

namespace oxidized {

std::unique_ptr<Tokenizer> TokenizerOf(const Checkpoint& checkpoint) {
  if (checkpoint.vocabulary) return MakeTokenizer(*checkpoint.vocabulary);
  if (!checkpoint.tokenizer_candidates.empty())
    return Tokenizer::Load(checkpoint.tokenizer_candidates.front());
  if (checkpoint.config.vocab_size == kHarmonyIds) return Tokenizer::BuiltIn();
  return nullptr;
}

void TakeSpecialIds(const Tokenizer& tokenizer, ModelConfig& config) {
  config.eos_token_ids.clear();
  for (const char* end : {"<|return|>", "<|endoftext|>"}) {
    if (const auto id = tokenizer.SpecialId(end)) config.eos_token_ids.push_back(*id);
  }
  config.pad_token_id = tokenizer.SpecialId("<|endoftext|>").value_or(-1);
}

}  // namespace oxidized
