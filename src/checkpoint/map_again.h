// A checkpoint once more, for a device that changes bytes where they lie (reads files into memory, rearranges
// weights, adds a file of packed ones) while others read the first.
#pragma once

#include "checkpoint/checkpoint.h"

namespace oxidized {

// The same model in mappings of its own. What was decoded when the model was opened is shared: `checkpoint`
// must outlive the copy. Weights that lie in no file (a model made in memory) are copied. Nothing of the
// tokenizer and no list of tensors. Throws Error(kNoMemory, kBadFile).
Checkpoint MapAgain(const Checkpoint& checkpoint);

}  // namespace oxidized
