// What will fit and how fast it can be, from sizes and measured speeds alone: the arithmetic behind
// --dry-run and of the choice of a device. Opens and measures nothing; each device gathers its figures.
//
// Assumptions, stated with every result: routing is uniform (each expert of a layer equally likely), so the
// hit rate is the share of experts in memory; reading from the disk and computing do not overlap; a mapped
// model that does not fit reads what is missing at the disk's speed. Real routing repeats itself more, and
// prefetching overlaps a part: both make it faster.
#pragma once

#include <cstdint>

namespace oxidized {

// Tokenizer tables, threads, code: what every run takes besides the model (measured with o200k: 45 MiB).
inline constexpr int64_t kHeapBytes = int64_t{64} << 20;

struct PlanInput {
  int64_t dense_bytes = 0;   // weights that are not experts
  int64_t expert_bytes = 0;  // all experts
  // Of these, memory of our own: decoded when the model is opened, or read into memory. The system cannot
  // give it back, so none of it is ever read from the disk again.
  int64_t own_dense_bytes = 0, own_expert_bytes = 0;
  int64_t experts = 0;      // L * E
  int64_t own_experts = 0;  // of them, never read from the disk
  int64_t slots = 0;        // of the pool; 0: every expert in memory
  int64_t slot_bytes = 0;
  int64_t kv_bytes = 0;  // of the whole context
  int64_t activation_bytes = 0;
  int64_t heap_bytes = 0;           // tokenizer and the rest
  int64_t decode_dense_bytes = 0;   // read for one token
  int64_t decode_expert_bytes = 0;  // the same of experts: L * K of them
  int64_t least_slots = 0;          // K
  int64_t available_bytes = 0;
  double memory_bytes_per_s = 0.0;
  double disk_bytes_per_s = 0.0;
};

struct MemoryPlan {
  int64_t pool_bytes = 0;
  int64_t needed_bytes = 0;
  bool fits = false;
  double hit_rate = 1.0;  // of an expert's use
  double disk_bytes_per_token = 0.0;
  double tokens_per_s = 0.0;     // decoding one sequence at a short context
  int64_t fitting_slots = 0;     // the largest pool that fits; 0: not even the least one does, or no use
  bool everything_fits = false;  // all experts and the whole context
};

MemoryPlan MakePlan(const PlanInput& input);

}  // namespace oxidized
