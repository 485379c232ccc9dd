// What a step's kernels read: the model on the card, the executor's buffers there, and one step. Plain
// structs of device pointers and numbers, filled by executor/cuda, passed by value. Dimension letters as in
// model_config.h.
#pragma once

#include <cstdint>

#include "kernels/cuda/layout.h"
#include "kernels/cuda/schedule.h"
#include "sampling/sampling_math.h"

namespace oxidized::cuda {

// What inputs of products, keys and values are rounded to. kF16 is kF32 with values rounded on the way: three
// parts of bf16 for an input, of which an f16 needs two, and f32 for a key or value.
enum class Arithmetic : int32_t { kBf16, kF16, kF32 };
OX_HOST_DEVICE constexpr int PartsOf(Arithmetic a) { return a == Arithmetic::kBf16 ? 1 : 3; }
OX_HOST_DEVICE constexpr int KvBytes(Arithmetic a) { return a == Arithmetic::kBf16 ? 2 : 4; }

struct ExpertArgs {
  Matrix gate_up, down;       // [2F, M] rows 2j gate, 2j+1 up; [M, F]
  const float* gate_up_bias;  // [2F]
  const float* down_bias;     // [M]
};

struct KvGroupArgs {
  uint8_t* memory;      // [blocks][layers of the group][G][key, value][B][D]
  int64_t block_bytes;  // of all layers
};

struct LayerArgs {
  const float *attention_norm, *mlp_norm;  // [M]
  Matrix qkv;                              // [(H + 2G) * D, M]; rows of q and k in pairs i, i + D/2 of a head
  const float* qkv_bias;                   // in the matrix's order
  const float* sinks;                      // [H]
  Matrix out;                              // [M, H*D]
  const float* out_bias;
  const float *router, *router_bias;  // [E, M], [E]
  const ExpertArgs* experts;          // [E]
  int32_t num_experts;
  int32_t window;  // 0: all
  int32_t group, index_in_group;
  KvGroupArgs kv;  // of its group
};

// Of a position and a pair of elements.
struct Rotation {
  float cosine, sine;
};

enum class TableType : int32_t { kF32, kBf16, kF16 };

struct ModelArgs {
  int32_t layers, m, heads, kv_heads, d, f, v, most_experts, kv_groups;
  float eps, alpha, limit;
  const void* embedding;  // [V, M]
  TableType embedding_type;
  const float* final_norm;
  Matrix head;               // [V, M]
  const Rotation* rotation;  // [positions][D/2]
  const LayerArgs* layer;    // [L]
  Arithmetic arithmetic;
};

// The rule of a sequence, ready for a layer's E.
enum class Rule : int32_t { kTopK, kSwitch, kExpert1 };
struct PolicyArgs {
  Rule rule;
  int32_t k;       // asked for
  int32_t usable;  // 0: all
  int32_t has_capacity;
  double capacity_factor;
};

struct SampleArgs {
  int32_t logits_row, slot;
  int32_t draw;      // false: only scored
  int32_t mask_ids;  // ids that the mask knows; -1: no mask
  int64_t mask_at;   // its first word of `masks`
  int64_t position;  // of the token drawn
  int32_t top, score;
  int64_t top_at;  // first place of `top_ranks`
  SamplingNumbers numbers;
};
struct SampleResult {
  int32_t token, finite, empty_mask, top_count;
  float logprob, score;
};

// Block tables of one group: as BlockTables.
struct TableArgs {
  const int32_t* offsets;
  const int64_t* first_position;
  const int32_t* block_ids;
};

// Of a part of a row of logits: the highest rank (sampling_math::TokenRank), the largest magnitude's bits.
struct RowPeak {
  uint64_t rank, magnitude;
};

// Some of an expert's places (row * stride + rank), and its products: all that a block must look up.
struct Tile {
  int32_t count;
  int32_t place[kTileTokens];
  ExpertArgs expert;
};

struct StepArgs {
  const ModelArgs* model;
  // --- the step, uploaded
  int32_t tokens, sequences, stride, rows, samples;  // T, S, experts a token, rows of logits
  const int32_t* token_ids;                          // [T] or -1: the slot's last
  const int64_t* positions;                          // [T]
  const int32_t* sequence_of;                        // [T]
  const int32_t* query_start;                        // [S+1]
  const int32_t* slot;                               // [S]
  const PolicyArgs* policy;                          // [S]
  const TableArgs* tables;                           // [groups]
  const int32_t* logits_rows;                        // [R] rows of the step
  const SampleArgs* sample;                          // [samples]
  const uint64_t* masks;
  int32_t ring_slots, ring_slot_bytes, ring_at;  // of each warp; in a block's shared memory
  // --- kept between steps
  int32_t* last_token;  // [slots]
  int32_t* counts;      // [slots, V]
  // --- values of the step
  int64_t* kv_rows;  // [groups, T] where each row's keys and values go
  float *residual, *query, *key, *value, *attention, *attention_out, *moe_out;
  float* splits;  // [T, H, max_splits, D + 2]
  int32_t max_splits;
  uint32_t* split_arrivals;  // [T, G], zero between uses
  float* router_logits;      // [L, T, E]
  int32_t* experts;          // [L, T, stride]
  float* weights;
  uint8_t *dropped, *rerouted;  // [L, T]
  Tile* tiles;
  int32_t* num_tiles;
  float* gated;                    // [T * stride, F]
  float* contributions;            // [T * stride, M]
  float* logits;                   // [R, V]
  RowPeak *peaks, *changed_peaks;  // [R, blocks], [samples, blocks]
  float* changed;                  // [samples, V], where a mask or penalties are
  uint64_t* candidates;            // [samples, V] ranks, for cuts
  uint64_t* top_ranks;             // of the samples' most likely tokens, in no order
  float* top_logprobs;
  SampleResult* results;
  float* normed_tap;          // [T, M], where taps are shown
  int64_t* clocks;            // [phases, 2] of one multiprocessor: when a phase began, and ended for all
  uint32_t* barrier;          // of the grid; grows for ever
  uint32_t* router_arrivals;  // zero between uses
};

// A step is these phases, those from kQueryKeyValue to kDown once for each layer. Everything that a phase
// writes may be read by the next one alone.
enum class Phase : int32_t {
  kEmbed,
  kQueryKeyValue,  // norm, products, rotation, keys and values stored
  kAttend,
  kOut,     // product, residual
  kRoute,   // norm, router, choice, tiles of rows by expert
  kGateUp,  // norm, products, SwiGLU
  kDown,    // products, weighted sum, residual
  kUnembed,
  kChangeLogits,  // penalties and masks, where a sample has some
  kSample,
  kKeepTokens,  // last tokens of the slots
};
inline constexpr int kLayerPhases = 6;
OX_HOST_DEVICE constexpr int ForwardPhases(int layers) { return 1 + layers * kLayerPhases + 1; }
OX_HOST_DEVICE constexpr int AllPhases(int layers) { return ForwardPhases(layers) + 3; }
struct PhaseOf {
  Phase phase;
  int layer;
};
OX_HOST_DEVICE constexpr PhaseOf PhaseAt(int index, int layers) {
  if (index == 0) return {Phase::kEmbed, -1};
  const int in_layers = index - 1;
  if (in_layers < layers * kLayerPhases)
    return {static_cast<Phase>(1 + in_layers % kLayerPhases), in_layers / kLayerPhases};
  return {static_cast<Phase>(1 + kLayerPhases + in_layers - layers * kLayerPhases), -1};
}

}  // namespace oxidized::cuda
