// The device boundary: an executor runs one ragged batch of new tokens against its weights and its paged KV
// memory and returns sampled tokens. It may fuse as it pleases; what it computes is defined by
// executor/reference, compared through named taps, and checked by executor/testing/conformance.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "executor/step_batch.h"
#include "kv/block_pool.h"
#include "kv/kv_layout.h"

namespace oxidized {

struct ExecutorInfo {
  std::string name;              // "reference", "cpu"
  std::string device;            // for people
  std::string precision;         // "f32", "bf16", "f16"
  std::string activations = "";  // "int8": inputs of products are lossy; else empty: as the precision says
  int32_t num_layers = 0;
  int32_t num_experts = 0;             // the most that a layer has: the width of router logits
  std::vector<int32_t> layer_experts;  // [L]; empty: each has num_experts
  int32_t experts_per_token = 0;       // the model's K
  int32_t vocab_size = 0;
  int64_t max_context = 0;          // positions a sequence may have
  int32_t max_sequences = 0;        // slots are 0 .. max_sequences-1
  int32_t max_step_tokens = 0;      // T of one step
  std::vector<int32_t> kv_windows;  // [groups] of the KvLayout; 0: full attention
  std::vector<int32_t> kv_blocks;   // [groups] blocks of memory
  bool batch_invariant = true;      // results do not depend on chunking and batch mates, bit for bit
};

struct StepTicket {
  uint64_t id = 0;
};

// Errors: Submit and Wait throw Error(kRequestFailed) when the step as a whole failed; the KV of its rows is
// then undefined, and the engine ends the requests of that batch. A non-finite row is SampledToken::finite,
// for it alone.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual const ExecutorInfo& Info() const = 0;
  // May return before the device is done; Wait gives tokens, log-probabilities, routing and timings. One step
  // at a time.
  virtual StepTicket Submit(const StepBatch& batch) = 0;
  virtual void Wait(StepTicket ticket, StepResult& result) = 0;
  // A slot begins a new sequence. `reused` are the tokens whose KV is taken over from blocks already filled:
  // penalties count them, although they are never fed.
  virtual void ResetSlot(int32_t slot, std::span<const int32_t> reused) = 0;
  virtual void CopyBlocks(std::span<const BlockCopy> copies) = 0;
};

}  // namespace oxidized
