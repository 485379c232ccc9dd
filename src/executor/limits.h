// How much an executor must hold, and the KV blocks that follow from it. The same for every executor, so that
// the engine meets one rule.
#pragma once

#include <cstdint>
#include <vector>

#include "executor/executor.h"
#include "kv/kv_layout.h"

namespace oxidized {

struct ExecutorLimits {
  int64_t max_context = 0;        // positions of one sequence; 0: the model's
  int32_t max_sequences = 1;      // slots
  int32_t max_step_tokens = 512;  // rows of one step
  int64_t kv_tokens =
      0;  // positions kept by the full-attention group over all sequences, at least max_context
};

// Info with everything that follows from the model and the limits; name, device and precision are the
// caller's.
//
// Full group: kv_tokens, rounded up to blocks. Sliding group: for each slot the window behind its next row
// and one more window, kept of an earlier turn for prefix reuse; the rows of two steps; a few windows of
// prefixes that many share.
ExecutorInfo DeriveInfo(const ModelConfig& config, const KvLayout& layout, const ExecutorLimits& limits);

}  // namespace oxidized
