// The shape of a gpt-oss decode step for one sequence and what its phases share: device pointers, sizes of
// units, order of rows. Weights are random of sane scale; the layout is that of device/formats.cuh.
#pragma once

#include <cstdint>

namespace limits::step {

constexpr int kHidden = 2880, kHeads = 64, kKvHeads = 8, kHeadSize = 64, kQuery = kHeads * kHeadSize;
constexpr int kQkvRows = (kHeads + 2 * kKvHeads) * kHeadSize, kTopK = 4, kVocabulary = 201088, kContext = 512;
constexpr int kWindow = 128;
constexpr int kMaxBlocks = 132, kMaxCopies = 16;
constexpr float kEpsilon = 1e-5f, kSwigluLimit = 7.0f, kSwigluAlpha = 1.702f;

// Units: 8 rows x columns. bf16 over the hidden size 192 columns, over the query 256; MXFP4 960.
constexpr int kHiddenCols = 192, kQueryCols = 256, kExpertCols = 960;
constexpr int kHiddenChunks = kHidden / kHiddenCols, kQueryChunks = kQuery / kQueryCols;
constexpr int kExpertChunks = kHidden / kExpertCols;
constexpr int kHiddenUnit = kHiddenCols * 16, kQueryUnit = kQueryCols * 16, kExpertUnit = 4096;
constexpr int kQkvGroups = kQkvRows / 8, kOutGroups = kHidden / 8, kGateUpGroups = 2 * kHidden / 8;
constexpr int kVocabularyGroups = kVocabulary / 8;

// Rows of a QKV group: dimensions d..d+3 and d+32..d+35 of one head, so that rotated pairs meet in a block.
// Of a gate_up group: gates i..i+3, then their ups.

// Changes from step to step, on the device.
struct State {
  uint32_t step, position, token, finished;
  unsigned long long best;  // largest logit as ordered bits, then the token's complement
};

struct Model {
  int layers, experts;
  // [layers] times:
  const uint8_t* qkv;         // kQkvGroups x kHiddenChunks units
  const uint8_t* out;         // kOutGroups x kQueryChunks
  const uint8_t* gate_up;     // experts x kGateUpGroups x kExpertChunks
  const uint8_t* down;        // experts x kOutGroups x kExpertChunks
  const float* norms;         // [2, kHidden]
  const float* biases;        // qkv kQkvRows, out kHidden
  const float* gate_up_bias;  // [experts, 2 kHidden], in the order of the groups
  const float* down_bias;     // [experts, kHidden]
  const uint16_t* router;     // bf16 [kHidden, experts]
  const float* router_bias;   // [experts]
  const float* sinks;         // [kHeads]
  uint16_t* keys;             // bf16 [kKvHeads, kContext, kHeadSize]
  uint16_t* values;           // bf16 [kKvHeads, kHeadSize, kContext]
  // Once:
  const uint8_t* head;        // kVocabularyGroups x kHiddenChunks
  const float* final_norm;    // [kHidden]
  const uint16_t* embedding;  // bf16 [kVocabulary, kHidden]
  const float2* rotation;     // cos, sin [kContext, 32]
  // Activations. Those that all blocks read are there `copies` times: a line that 132 blocks ask for at once
  // keeps one slice of L2 busy for half a microsecond.
  int copies;
  float* query;         // [kQuery]
  uint16_t* attention;  // bf16 [copies, kQuery]
  float* middle;        // [copies, kHidden] after attention
  float* residual;      // [copies, kHidden] after the layer
  float* router_parts;  // [copies, kMaxBlocks, experts + 4]: share of the logits, then of the sum of squares
  uint16_t* activated;  // bf16 [copies, kTopK, kHidden]
  uint32_t* routes;     // [8]: ids, weights as bits
  uint32_t* routes_ready;  // step * layers + layer + 1
  State* state;
  uint32_t* barriers;             // counters: [0] all blocks, [32] attention
  volatile uint32_t* host_token;  // mapped, or null
  uint32_t* trace;                // or null
  int64_t* span;                  // [2] clocks and nanoseconds of the persistent kernel
};

}  // namespace limits::step
