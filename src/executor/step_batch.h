// One step of work for an executor: S sequences contribute T new tokens, flattened; the rows of sequence s
// are [query_start[s], query_start[s+1]). A decoding sequence has one row, a prefill chunk has many, and they
// mix.
//
// All spans belong to the caller and live until Wait returns.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "moe/routing_policy.h"
#include "sampling/sampler.h"

namespace oxidized {

// In token_ids: the token that this slot sampled last (the device need not tell the host before it goes on).
inline constexpr int32_t kLastSampled = -1;

// Block tables of one KV group for all sequences: row s is block_ids[offsets[s] .. offsets[s+1]).
struct BlockTables {
  std::span<const int32_t> offsets;         // [S+1]
  std::span<const int64_t> first_position;  // [S] absolute position of the first row of the first block
  std::span<const int32_t> block_ids;
};

struct SampleSpec {
  int32_t row = 0;                         // whose logits; several rows of one sequence are allowed
  const SamplingParams* params = nullptr;  // nullptr: draw nothing, only score
  const TokenMask* mask = nullptr;         // nullptr: every id is allowed
  int32_t top_logprobs = -1;               // 0: only the token's own log-probability; negative: none
  int32_t score_token = -1;                // also report this token's log-probability
};

// Receives whole rows of raw, unmasked logits as they are made; never T x V at once.
class LogitsSink {
 public:
  virtual ~LogitsSink() = default;
  virtual void Row(int64_t position, std::span<const float> logits) = 0;
};

// Named intermediate values, for comparing executors (names and shapes: executor/taps.h).
class TapSink {
 public:
  virtual ~TapSink() = default;
  // `values` [rows, cols]; row r belongs to row r of the batch. layer -1: outside the layers.
  virtual void Tap(std::string_view name, int32_t layer, std::span<const float> values, int64_t cols) = 0;
};

struct StepBatch {
  std::span<const int32_t> token_ids;    // [T]
  std::span<const int64_t> positions;    // [T] absolute
  std::span<const int32_t> query_start;  // [S+1]
  std::span<const int64_t> context_len;  // [S] tokens visible after this step
  std::span<const int32_t> slot;         // [S] stable while a sequence lives
  std::span<const uint8_t> policy;       // [S] index into policies
  std::span<const RoutingPolicy> policies;
  std::span<const BlockTables> kv;  // one for each group of the KvLayout
  std::span<const SampleSpec> samples;
  std::span<LogitsSink* const> logits;  // [S] or empty; a sequence's sink gets all its rows
  TapSink* taps = nullptr;
  bool router_logits = false;  // whether the observation shall hold the routers' logits too

  int32_t num_tokens() const { return static_cast<int32_t>(token_ids.size()); }
  int32_t num_sequences() const { return static_cast<int32_t>(context_len.size()); }
  int32_t SequenceOf(int64_t row) const;
};

// What the routers of one step chose: arrays over [L, T, stride] (experts, weights), [L, T] (dropped,
// rerouted) and, if StepBatch::router_logits asked for it, [L, T, E] (logits, bias included; else empty). E
// is the most that a layer has; a layer with fewer experts has -infinity for the others.
struct RoutingObservation {
  int32_t stride = 0;
  std::vector<int32_t> experts;
  std::vector<float> weights;
  std::vector<uint8_t> dropped;
  std::vector<uint8_t> rerouted;
  std::vector<float> logits;
  int32_t logits_width = 0;

  // `router_width`: E if the logits are wanted, else 0.
  void Resize(int32_t layers, int32_t tokens, int32_t row_stride, int32_t router_width = 0);
  // The rows [begin, end) of one layer of a step with `tokens` rows.
  RoutedRows Rows(int32_t layer, int32_t tokens, int32_t begin, int32_t end);
  // Takes the logits of all `tokens` rows of a layer [tokens, width] where they are wanted.
  void KeepLogits(int32_t layer, int32_t tokens, std::span<const float> rows);
  // The same of the logits: [end - begin, E], or empty.
  std::span<float> Logits(int32_t layer, int32_t tokens, int32_t begin, int32_t end);
};

// Time, bytes and operations of one stage, summed over the layers of a step.
struct StageCost {
  const char* stage = "";
  double microseconds = 0.0;
  int64_t bytes = 0;  // weights and KV that had to be read
  int64_t flops = 0;
};

struct StepResult {
  std::vector<SampledToken> samples;  // as StepBatch::samples
  RoutingObservation routing;
  std::vector<StageCost> stages;
};

}  // namespace oxidized
