#include "checkpoint/checkpoint_format.h"

namespace oxidized {

const char* Name(CheckpointFormat format) {
  switch (format) {
    case CheckpointFormat::kHuggingFace:
      return "hf";
    case CheckpointFormat::kOriginal:
      return "original";
    case CheckpointFormat::kGguf:
      return "gguf";
  }
  return "";
}

}  // namespace oxidized
