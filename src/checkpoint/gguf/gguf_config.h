// Metadata of a gpt-oss GGUF file -> ModelConfig: llama.cpp's keys ("gpt-oss.*") and Ollama's ("gptoss.*").
//
// What GGUF has no key for is gpt-oss's own: SwiGLU limit and alpha, a rotation that is not truncated, even
// layers sliding unless a pattern says otherwise. Called by gguf_weights and by the fuzz target.
#pragma once

#include <string>

#include "checkpoint/gguf/gguf.h"
#include "model/model_config.h"

namespace oxidized {

// `vocab_size`: rows of the embedding, which no key repeats. Throws Error(kBadFile) for damage and another
// model, Error(kUnsupported) for gpt-oss in a form this version cannot run; `name` stands for the file.
ModelConfig ParseGgufConfig(const Gguf& gguf, int64_t vocab_size, const std::string& name);

}  // namespace oxidized
