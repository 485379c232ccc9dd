// The device boundary: an executor runs one ragged batch of new tokens against its weights and its paged KV
// memory and returns sampled tokens. It may fuse as it likes. What it computes is defined by
// executor/reference; executor/testing/conformance compares the two, by named taps where the executor has
// them (ExecutorAbilities::taps) and by results everywhere.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "executor/step_batch.h"
#include "kv/block_pool.h"
#include "kv/kv_layout.h"

namespace oxidized {

// What a request may ask for here. Engine::Submit refuses the single request that asks for more.
struct ExecutorAbilities {
  std::vector<const RoutingStrategy*> routing_rules;  // empty: all of RoutingStrategies()
  bool capacity = true;       // policies by which the rows of a step depend on each other (DependsOnStep)
  bool routing = true;        // StepResult::routing says what was chosen; else it stays empty
  bool router_logits = true;  // and what the routers said
  bool masks = true;
  bool penalties = true;
  int32_t top_logprobs = std::numeric_limits<int32_t>::max();  // most of a token; -1: no log-probabilities
  bool logits_sinks = true;
  bool taps = true;
  int32_t adapters = 0;  // ids 0 .. adapters-1; every request may do without one. No device has any yet
};

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
  int32_t steps_in_flight = 1;      // submitted and not waited for: 1 or 2
  bool late_masks = false;          // takes SampleSpec::late_mask and GiveMasks
  ExecutorAbilities can;
};

struct StepTicket {
  uint64_t id = 0;
};

// An executor is one queue: calls take effect in the order in which they are made, whatever is still running.
// With two steps in flight, a slot or block that is reset, copied or written for step n+1 keeps its old
// content for step n. One thread calls.
//
// Errors: Submit and Wait throw Error(kRequestFailed) when the step as a whole failed; the KV of its rows is
// then undefined, and the engine ends the requests of that batch. A step that failed ends neither the queue
// nor the step behind it. A step whose Submit threw has no ticket and is not waited for. A non-finite row is
// SampledToken::finite, a mask that allows nothing SampledToken::empty_mask, for that row alone.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual const ExecutorInfo& Info() const = 0;
  // May return before the device is done; Wait gives tokens, log-probabilities, routing and timings. At most
  // `steps_in_flight` steps are submitted and not waited for; Wait takes them in the order of Submit.
  virtual StepTicket Submit(const StepBatch& batch) = 0;
  virtual void Wait(StepTicket ticket, StepResult& result) = 0;
  // The masks of a submitted step's samples with `late_mask`, in their order; nullptr: all ids. Called once
  // before Wait of a step that has such samples, and of no other. The span is the call's; what it points to
  // lives until Wait returns. Sampling may begin then, the forward pass began before. Throws nothing: what
  // goes wrong comes out at Wait.
  virtual void GiveMasks(StepTicket, std::span<const TokenMask* const>) {
    OX_CHECK(false);  // only who says `late_masks` is asked, and overrides this
  }
  // A slot begins a new sequence. `reused` are the tokens whose KV is taken over from blocks already filled:
  // penalties count them, although they are never fed. The span is the call's.
  virtual void ResetSlot(int32_t slot, std::span<const int32_t> reused) = 0;
  // In the order of the list: a block may be copied to and then from. The span is the call's.
  virtual void CopyBlocks(std::span<const BlockCopy> copies) = 0;
};

}  // namespace oxidized
