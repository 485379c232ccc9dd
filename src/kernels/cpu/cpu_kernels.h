// The CPU's arithmetic: one table of functions, one instance of it for each instruction tier. executor/cpu
// calls through the table; no kernel allocates, locks or throws. What a function does is said once, here;
// how, in body/*.inc, which every tier compiles with its own instructions (tier_*.cc).
//
// Three promises hold for every function of every tier:
//  * Bitwise invariance. Each output element is accumulated in an order that depends on the length of its own
//    sum alone: never on how many rows or tokens are worked on together, on where a slice [n0, n1) is cut, or
//    on alignment. So chunks, batch mates and threads cannot change a bit.
//  * The stored form does not show. Equal values give equal bits in every form of MXFP4 and, with f32
//    activations, in every type of rows, Q8_0 included; gate and up together or apart. Only the transposed
//    form adds in another order, and with bf16 activations Q8_0 in another than BF16. The int8_* products
//    give the same bits in every tier.
//  * Weights are read as stored, from any address. Activations and outputs are aligned to their element.
//
// Activations ("x") of products are f32, or bf16 where a tier multiplies bf16 directly (native_bf16). A tier
// without it gets bf16-rounded values as f32: the same numbers, in another summation order. Rows of x are
// padded with zeros to a multiple of kXPad elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/expert_layout.h"
#include "tensor/packed_bf16.h"

namespace oxidized {

inline constexpr int64_t kXPad = 32;
inline constexpr int64_t kKernelBlockTokens = 32;  // positions of a KV block, B

enum class XType : uint8_t { kF32, kBf16, kInt8 };     // element type of activations in memory
enum class Rounding : uint8_t { kNone, kBf16, kF16 };  // values that activations are rounded to

// Where and how a kernel writes activations for the next product: f32 memory with rounded values, or bf16
// memory.
struct XFormat {
  XType type = XType::kF32;
  Rounding rounding = Rounding::kNone;
};

// kInt8, lossy: rows are Int8XBlocks of 32 elements, the last one padded with zeros. A value is q * scale,
// scale = max |x| / 127 of its block and q = x / scale rounded to nearest, ties to even. A block with an
// infinity or NaN has the scale NaN and zeros.
inline constexpr int32_t kInt8Offset = 16;
struct Int8XBlock {
  int8_t q[32];  // elements 0 2 4 6 1 3 5 7, then those 8, 16 and 24 further on: as MXFP4 is decoded
  float scale;
  int32_t correction;  // -kInt8Offset * sum of q, for weights that are held above their value
};

// Products take many tokens in passes over the weight rows, so few at once that their activations stay in the
// second-level cache. Static: a tier's copy must not be linked into code for other processors.
inline constexpr int64_t kMostPassTokens = 126;
static inline int64_t PassTokens(int64_t x_row_bytes) {
  constexpr int64_t kBytes = 640 << 10, kTile = 6;
  const int64_t fit = kBytes / (x_row_bytes > 0 ? x_row_bytes : 1) / kTile * kTile;
  return fit < kTile ? kTile : fit > kMostPassTokens ? kMostPassTokens : fit;
}

// y[t, n] = sum_k x[t, k] W[n, k] + bias[n]
struct DenseArgs {
  const void* x = nullptr;  // [T] rows of K (padded) elements, ldx elements (int8: bytes) apart
  int64_t ldx = 0;
  const std::byte* w = nullptr;            // [N, K] row-major; Q8_0: rows of K/32 blocks
  bool interleaved = false;                // int8_q8w: rows are (tensor/interleaved.h), n0 and n1 as above
  const std::byte* next = nullptr;         // interleaved: what this thread reads after n1, if known
  const PackedBf16View* packed = nullptr;  // packedw: [N, K] in place of w, K a multiple of 32
  const float* bias = nullptr;             // [N] or nullptr
  float* y = nullptr;                      // [T] rows, ldy elements apart
  int64_t ldy = 0;
  int64_t tokens = 0;               // T
  int64_t k = 0;                    // K
  const int32_t* x_rows = nullptr;  // [T] rows of x to take, or nullptr for 0..T-1
};

// One expert's product for the rows routed to it, W [N, K]: MXFP4; rows of values [N, K]; or, for the
// transposed form, values [K, N] (tensor/expert_layout.h; who reads which layout: its `readers`).
// kInterleavedMxfp4: n0 and n1 are multiples of 32 rows of each matrix. Where gate and up lie apart (gate_up
// of all but kMxfp4 and kTransposed), `values` and `bias` are the even rows [N/2], up_values and up_bias the
// odd ones.
struct ExpertArgs {
  const void* x = nullptr;  // rows of K (padded) elements, ldx elements (int8: bytes) apart
  int64_t ldx = 0;
  const int32_t* x_rows = nullptr;  // [T] row of x of each routed token
  const int32_t* y_rows = nullptr;  // [T] row of y to write
  const std::byte* values = nullptr;
  const std::byte* up_values = nullptr;
  const std::byte* scales = nullptr;           // kMxfp4, and what was rearranged of it
  const std::byte* next = nullptr;             // kInterleavedMxfp4: what this thread reads after n1, if known
  ExpertLayout layout = ExpertLayout::kMxfp4;  // by the mxfp4w products; the others have one each
  DType value_type = DType::kBF16;             // of values: F32, BF16, F16, and of rows also Q8_0
  const std::byte* bias = nullptr;             // [N] as stored
  const std::byte* up_bias = nullptr;          // not null if up_values is not
  DType bias_type = DType::kBF16;              // F32, BF16 or F16
  void* y = nullptr;                           // gate_up: format `out`, [., N/2]; down: f32 [., N]
  int64_t ldy = 0;                             // elements
  int64_t tokens = 0;                          // T
  int64_t n = 0;                               // N
  int64_t k = 0;                               // K
  XFormat out = {};                            // gate_up only
  float alpha = 0.0f, limit = 0.0f;            // gate_up only: clamped SwiGLU
};

// One KV block of one layer and KV head, as the attention kernel wants it: keys [D][B] (position fastest),
// then values [B][Dp], Dp = D rounded up to a multiple of 32, elements of kv_type; KvHeadElements() in all.
struct AttentionArgs {
  const float* q = nullptr;      // [heads, D] queries of the heads that share this KV head
  float* out = nullptr;          // [heads, D]
  const float* sinks = nullptr;  // [heads]
  int32_t heads = 0;
  int32_t head_dim = 0;                // D
  const std::byte* kv = nullptr;       // this layer's and KV head's part of block 0
  int64_t block_bytes = 0;             // from a block to the next
  const int32_t* block_ids = nullptr;  // blocks that hold positions first / B * B .. last
  int64_t first = 0;                   // first visible position
  int64_t last = 0;                    // last visible position (the query's own)
  float scale = 0.0f;                  // 1 / sqrt(D)
  float* scratch = nullptr;            // AttentionScratchFloats() floats, 64-byte aligned
};
int64_t KvHeadElements(int32_t head_dim);
int64_t AttentionScratchFloats(int32_t head_dim);

struct CpuKernels {
  const char* name;
  const char* instructions;  // for people
  bool native_bf16;          // the bf16_* entries exist
  bool grouped_mxfp4;        // bf16_mxfp4w_*: kGrouped is known, and faster

  // y[i] = x[i] * rsqrt(mean(x^2) + eps) * scale[i], i < M. In place is allowed.
  void (*f32_rms_norm)(const float* x, const float* scale, float eps, int64_t m, float* y);
  // x[i] += y[i]
  void (*f32_add)(float* x, const float* y, int64_t n);
  // Writes n values in `format`, zeros up to the next multiple of kXPad. kInt8: `x` may be `values`.
  void (*f32_to_x)(const float* values, int64_t n, XFormat format, void* x);
  // Stored vector of F32, BF16 or F16 widened to f32.
  void (*widen)(const std::byte* values, DType type, int64_t n, float* out);
  // Half-split rotation of `heads` vectors of D elements in place; cos and sin [D/2].
  void (*f32_rope)(float* vectors, int32_t heads, int32_t head_dim, const float* cos, const float* sin);
  // y[i] = sum_r weights[r] * parts[r][i] in the order of rank r < ranks, parts rows ld apart; ranks whose
  // expert is negative are left out.
  void (*f32_combine)(const float* parts, int64_t ld, const float* weights, const int32_t* experts,
                      int32_t ranks, int64_t m, float* y);

  // Rows [n0, n1) of a dense product, by activation and weight type.
  void (*f32_f32w_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);
  void (*f32_bf16w_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);
  void (*f32_f16w_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);
  void (*f32_q8w_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);
  void (*f32_packedw_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);  // the bits of f32_bf16w
  void (*bf16_bf16w_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);
  void (*bf16_q8w_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);
  void (*int8_q8w_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);
  void (*bf16_packedw_matmul)(const DenseArgs& args, int64_t n0, int64_t n1);  // the bits of bf16_bf16w

  // Weight rows [n0, n1) of one expert's gate_up (rows 2j gate, 2j+1 up; n0 and n1 even), bias and clamped
  // SwiGLU: y[., j] = g sigmoid(alpha g) (u + 1), g = min(gate, limit), u = clamp(up, -limit, limit). Padding
  // of y up to a multiple of kXPad is the caller's.
  void (*f32_mxfp4w_moe_gate_up)(const ExpertArgs& args, int64_t n0, int64_t n1);
  void (*f32_rowsw_moe_gate_up)(const ExpertArgs& args, int64_t n0, int64_t n1);
  void (*f32_transposedw_moe_gate_up)(const ExpertArgs& args, int64_t n0, int64_t n1);
  void (*bf16_mxfp4w_moe_gate_up)(const ExpertArgs& args, int64_t n0, int64_t n1);
  void (*int8_mxfp4w_moe_gate_up)(const ExpertArgs& args, int64_t n0, int64_t n1);  // writes f32
  // Weight rows [n0, n1) of one expert's down: y[., n] = W x + bias.
  void (*f32_mxfp4w_moe_down)(const ExpertArgs& args, int64_t n0, int64_t n1);
  void (*f32_rowsw_moe_down)(const ExpertArgs& args, int64_t n0, int64_t n1);
  void (*f32_transposedw_moe_down)(const ExpertArgs& args, int64_t n0, int64_t n1);
  void (*bf16_mxfp4w_moe_down)(const ExpertArgs& args, int64_t n0, int64_t n1);
  void (*int8_mxfp4w_moe_down)(const ExpertArgs& args, int64_t n0, int64_t n1);

  // Writes one position's key and value [D] of one KV head into place `slot` of its block, rounded to
  // kv_type.
  void (*write_kv)(const float* key, const float* value, int32_t head_dim, DType kv_type, int32_t slot,
                   std::byte* block);
  // out = softmax with sink over positions first..last. Blocks are taken in ascending order at absolute
  // multiples of B.
  void (*f32_f32kv_attention)(const AttentionArgs& args);
  void (*f32_bf16kv_attention)(const AttentionArgs& args);
  void (*f32_f16kv_attention)(const AttentionArgs& args);
};

// Tiers compiled for this architecture, worst first; `available` says whether this machine can run them.
struct CpuTier {
  const CpuKernels* kernels;
  bool available;
};
std::vector<CpuTier> CpuTiers();

// The best available tier, or the one named by OXIDIZED_CPU_TIER. Throws Error(kUsage), naming the available
// ones, when the variable names something unknown or unavailable.
const CpuKernels& SelectCpuKernels();
const CpuKernels& SelectCpuKernels(const std::string& name);  // "": the best

}  // namespace oxidized
