// The forms in which a model's weights are published. Read by checkpoint/, written by rewrite/.
#pragma once

#include <cstdint>

namespace oxidized {

enum class CheckpointFormat : uint8_t { kHuggingFace, kOriginal, kGguf };
const char* Name(CheckpointFormat format);  // "hf", "original", "gguf": the words of the command line

}  // namespace oxidized
