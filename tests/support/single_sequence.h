// One sequence through any executor, without an engine: feeds a prompt in chunks, keeps its KV block tables,
// collects taps and logits, and continues greedily. For goldens and comparisons of executors.
//
// It is unkind on purpose: blocks are handed out in a scrambled order, sliding tables give blocks back as
// soon as the contract allows, and continuation tokens are fed as kLastSampled.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "executor/executor.h"
#include "support/matrix.h"

namespace oxidized::test {

struct SingleSequenceOptions {
  int32_t chunk_tokens = 0;  // rows of a prefill step; 0: the whole prompt in one step
  int32_t continuation = 0;  // tokens to generate greedily after the prompt
  int64_t keep_from = 0;     // prompt positions below it are fed, but their taps and logits are not kept
  int32_t slot = 0;
  RoutingPolicy policy = {};
};

struct SingleSequenceResult {
  // Rows are the prompt's positions from keep_from on.
  std::map<std::pair<std::string, int32_t>, Matrix> taps;  // by (name, layer), all but tap::kLogits
  Matrix logits;
  Matrix logits_tap;  // tap::kLogits of the same rows
  std::vector<int32_t> continuation;
};

// The executor must have room for prompt and continuation. OX_CHECKs the executor's side of the contract:
// logits in position order, finite samples.
SingleSequenceResult RunSingleSequence(Executor& executor, std::span<const int32_t> prompt,
                                       const SingleSequenceOptions& options = {});

}  // namespace oxidized::test
