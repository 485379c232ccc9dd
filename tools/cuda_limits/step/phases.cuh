// The phases of a decode step of one sequence. Each is two functions: one that may run before the phase
// before has ended (loads of what never changes), and the phase itself. Both kinds of executor, a graph of
// kernels and one persistent kernel, call them with the streams set; results are the same bits.
//
// Rounding: inputs of products are bf16 (normed residual, query, keys, values, weights of attention, its
// result, activations of the experts), sums f32.
#pragma once

#include "block.cuh"

namespace limits::step {

// ---- streams ----------------------------------------------------------------------------------------------

__device__ inline Stream QkvStream(const Model& m, const Block& b, int layer) {
  const int begin = b.Begin(kQkvGroups), end = b.End(kQkvGroups);
  return {Kind::kRun,
          m.qkv + (size_t{static_cast<unsigned>(layer)} * kQkvGroups + begin) * kHiddenChunks * kHiddenUnit,
          kHiddenUnit, (end - begin) * kHiddenChunks, begin};
}
__device__ inline Stream OutStream(const Model& m, const Block& b, int layer) {
  const int begin = b.Begin(kOutGroups), end = b.End(kOutGroups);
  return {Kind::kRun,
          m.out + (size_t{static_cast<unsigned>(layer)} * kOutGroups + begin) * kQueryChunks * kQueryUnit,
          kQueryUnit, (end - begin) * kQueryChunks, begin};
}
__device__ inline Stream GateUpStream(const Model& m, const Block& b, int layer) {
  const int begin = b.Begin(kTopK * kGateUpGroups), end = b.End(kTopK * kGateUpGroups);
  const size_t expert_bytes = size_t{kGateUpGroups} * kExpertChunks * kExpertUnit;
  return {Kind::kGateUp, m.gate_up + static_cast<size_t>(layer) * m.experts * expert_bytes, kExpertUnit,
          (end - begin) * kExpertChunks, begin};
}
__device__ inline Stream DownStream(const Model& m, const Block& b, int layer) {
  const int begin = b.Begin(kOutGroups), end = b.End(kOutGroups);
  const size_t expert_bytes = size_t{kOutGroups} * kExpertChunks * kExpertUnit;
  return {Kind::kDown, m.down + static_cast<size_t>(layer) * m.experts * expert_bytes, kExpertUnit,
          (end - begin) * kTopK * kExpertChunks, begin};
}
__device__ inline Stream HeadStream(const Model& m, const Block& b) {
  const int begin = b.Begin(kVocabularyGroups), end = b.End(kVocabularyGroups);
  return {Kind::kHead, m.head + static_cast<size_t>(begin) * kHiddenChunks * kHiddenUnit, kHiddenUnit,
          end - begin, begin};
}

// ---- the norm ---------------------------------------------------------------------------------------------

constexpr int kVectors = kHidden / 4, kEachThread = (kVectors + kThreads - 1) / kThreads;

struct NormWeights {
  float4 w[kEachThread];
};
__device__ inline NormWeights LoadNorm(const float* weights) {
  NormWeights n;
#pragma unroll
  for (int u = 0; u < kEachThread; ++u) {
    const int i = threadIdx.x + u * kThreads;
    if (i < kVectors) n.w[u] = __ldg(reinterpret_cast<const float4*>(weights) + i);
  }
  return n;
}
struct Values {
  float4 v[kEachThread];
};
__device__ inline Values LoadValues(const float* p) {
  Values h;
#pragma unroll
  for (int u = 0; u < kEachThread; ++u) {
    const int i = threadIdx.x + u * kThreads;
    h.v[u] = i < kVectors ? LoadActivation4(p + i * 4) : float4{0, 0, 0, 0};
  }
  return h;
}
__device__ inline Values LoadEmbedding(const uint16_t* row) {
  Values h;
#pragma unroll
  for (int u = 0; u < kEachThread; ++u) {
    const int i = threadIdx.x + u * kThreads;
    h.v[u] = {0, 0, 0, 0};
    if (i < kVectors) {
      const uint2 b = __ldg(reinterpret_cast<const uint2*>(row) + i);
      h.v[u] = {FromBf16(b.x & 0xFFFF), FromBf16(b.x >> 16), FromBf16(b.y & 0xFFFF), FromBf16(b.y >> 16)};
    }
  }
  return h;
}
__device__ inline float SumOfSquares(Block& b, const Values& h) {
  float sum = 0;
#pragma unroll
  for (int u = 0; u < kEachThread; ++u)
    sum += h.v[u].x * h.v[u].x + h.v[u].y * h.v[u].y + h.v[u].z * h.v[u].z + h.v[u].w * h.v[u].w;
  return b.Sum(sum);
}
__device__ inline float Rms(float sum_of_squares) { return rsqrtf(sum_of_squares / kHidden + kEpsilon); }
// x = bf16(h * rms * w) into shared memory; sync afterwards.
__device__ inline void WriteNormed(Block& b, const Values& h, const NormWeights& n, float rms) {
#pragma unroll
  for (int u = 0; u < kEachThread; ++u) {
    const int i = threadIdx.x + u * kThreads;
    if (i < kVectors)
      reinterpret_cast<uint2*>(b.shared.x)[i] = {
          ToBf16x2(h.v[u].x * rms * n.w[u].x, h.v[u].y * rms * n.w[u].y),
          ToBf16x2(h.v[u].z * rms * n.w[u].z, h.v[u].w * rms * n.w[u].w)};
  }
}

// ---- products ---------------------------------------------------------------------------------------------

// part[piece][row] = sums of the current stream's pieces; piece % kChunks is its run of columns. x in shared
// memory.
template <int kCols, int kChunks>
__device__ inline void Bf16Product(Block& b) {
  const SharedTokens<false> x(b.shared.x, 0, 1, kCols, b.lane);
  b.ForPieces([&](const uint8_t* slot, int i) {
    const int piece = i * kWarps + b.warp;
    SharedTokens<false> at = x;
    at.at += piece % kChunks * kCols * 2;
    Sums<false> sums;
    sums.Clear();
    Bf16Form::Dot<kCols / 32>(slot, b.lane, at, 0, sums);
    const float2 row = sums.Row();
    if (b.lane % 4 == 0) b.shared.part[piece * 8 + b.lane / 4] = row.x;
  });
}
template <int kChunks>
__device__ inline float SumOfChunks(const Block& b, int group, int row) {
  float sum = 0;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) sum += b.shared.part[(group * kChunks + c) * 8 + row];
  return sum;
}

// ---- K1: norm, QKV, rotation, cache -----------------------------------------------------------------------

struct QkvEarly {
  NormWeights norm;
  float bias0, bias1;
  float2 turn;
};
__device__ inline QkvEarly BeforeQkv(const Model& m, const Block& b, int layer) {
  QkvEarly e{LoadNorm(m.norms + layer * 2 * kHidden), 0, 0, {1, 0}};
  const int begin = b.Begin(kQkvGroups), pair = threadIdx.x;
  if (pair < (b.End(kQkvGroups) - begin) * 4) {
    const float* bias =
        m.biases + static_cast<size_t>(layer) * (kQkvRows + kHidden) + (begin + pair / 4) * 8 + pair % 4;
    e.bias0 = __ldg(bias);
    e.bias1 = __ldg(bias + 4);
    e.turn = __ldg(m.rotation + b.position * 32 + (begin + pair / 4) % 8 * 4 + pair % 4);
  }
  return e;
}
__device__ inline void Qkv(const Model& m, Block& b, int layer, const QkvEarly& e) {
  const Values h = layer == 0 ? LoadEmbedding(m.embedding + size_t{b.token} * kHidden)
                              : LoadValues(m.residual + b.copy * kHidden);
  const float sum = SumOfSquares(b, h);
  WriteNormed(b, h, e.norm, Rms(sum));
  const int begin = b.Begin(kQkvGroups), groups = b.End(kQkvGroups) - begin, pair = threadIdx.x;
  const int group = begin + pair / 4, head = group / 8, d = group % 8 * 4 + pair % 4;
  __syncthreads();
  Bf16Product<kHiddenCols, kHiddenChunks>(b);
  __syncthreads();
  if (pair >= groups * 4) return;
  float v0 = SumOfChunks<kHiddenChunks>(b, pair / 4, pair % 4) + e.bias0;
  float v1 = SumOfChunks<kHiddenChunks>(b, pair / 4, pair % 4 + 4) + e.bias1;
  if (head < kHeads + kKvHeads) {
    const float r0 = v0 * e.turn.x - v1 * e.turn.y, r1 = v1 * e.turn.x + v0 * e.turn.y;
    v0 = r0;
    v1 = r1;
  }
  const size_t layer_head = static_cast<size_t>(layer) * kKvHeads;
  if (head < kHeads) {
    m.query[head * kHeadSize + d] = v0;
    m.query[head * kHeadSize + d + 32] = v1;
  } else if (head < kHeads + kKvHeads) {
    uint16_t* key = m.keys + ((layer_head + head - kHeads) * kContext + b.position) * kHeadSize;
    key[d] = ToBf16(v0);
    key[d + 32] = ToBf16(v1);
  } else {
    uint16_t* value = m.values + (layer_head + head - kHeads - kKvHeads) * kHeadSize * kContext + b.position;
    value[d * kContext] = ToBf16(v0);
    value[(d + 32) * kContext] = ToBf16(v1);
  }
}

// ---- K2: attention of one key-value head (block cta < kKvHeads) -------------------------------------------
// 8 warps, each with every eighth run of 16 keys. Queries are rows 0..7 of operand A; of 16 keys, column 2 t
// + i of the first (second) product is key 4 t + i (+ 2), so that the weights are operand A of the second
// product as they are.

// partial: shared, of 8 warps.
using AttentionPartial = float[8][8][kHeadSize];

__device__ inline int FirstKey(int position, int layer) {
  return layer % 2 == 0 ? max(0, position - kWindow + 1) : 0;
}

struct AttentionEarly {
  float sinks[2];  // of the outputs that this thread makes
};
// Keys and values of the positions before come into L2 while the queries are made.
__device__ inline AttentionEarly BeforeAttention(const Model& m, const Block& b, int layer) {
  const size_t at = (static_cast<size_t>(layer) * kKvHeads + b.cta) * kContext * kHeadSize;
  const int low = FirstKey(b.position, layer) / 16 * 16, keys = b.position - low;
  for (int i = threadIdx.x; i < keys * 4; i += kThreads) Touch(m.keys + at + low * kHeadSize + i * 16);
  const int runs = (keys + 15) / 16;
  for (int i = threadIdx.x; i < runs * kHeadSize; i += kThreads)
    Touch(m.values + at + i / runs * kContext + low + i % runs * 16);
  AttentionEarly e;
  for (int u = 0; u < 2; ++u)
    e.sinks[u] = __ldg(m.sinks + layer * kHeads + b.cta * 8 +
                       min(7, (static_cast<int>(threadIdx.x) + u * kThreads) / kHeadSize));
  return e;
}
__device__ inline void Attention(const Model& m, Block& b, AttentionPartial& partial, int layer,
                                 const AttentionEarly& e) {
  const int position = static_cast<int>(b.position), head = b.cta, g = b.lane / 4, t = b.lane % 4;
  const int low = FirstKey(position, layer);
  if (b.warp < 8) {
    const uint16_t* keys = m.keys + (static_cast<size_t>(layer) * kKvHeads + head) * kContext * kHeadSize;
    const uint16_t* values = m.values + (static_cast<size_t>(layer) * kKvHeads + head) * kHeadSize * kContext;
    uint32_t query[4][2];  // registers a0 and a2 of 4 steps: dimensions 8 t .. of 32, as the keys' 16 bytes
    float4 parts[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      parts[i] = LoadActivation4(m.query + (head * 8 + g) * kHeadSize + i / 2 * 32 + t * 8 + i % 2 * 4);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float4 q0 = parts[j * 2], q1 = parts[j * 2 + 1];
      query[j * 2][0] = ToBf16x2(q0.x * 0.125f, q0.y * 0.125f);
      query[j * 2][1] = ToBf16x2(q0.z * 0.125f, q0.w * 0.125f);
      query[j * 2 + 1][0] = ToBf16x2(q1.x * 0.125f, q1.y * 0.125f);
      query[j * 2 + 1][1] = ToBf16x2(q1.z * 0.125f, q1.w * 0.125f);
    }
    float largest = -1e30f, total = 0, sums[8][4] = {};
    for (int first = low / 16 * 16 + b.warp * 16; first <= position; first += 128) {
      float score[2][4] = {};
      uint2 v[8];
      uint4 key_parts[2][2];
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int j = 0; j < 2; ++j)
          key_parts[n][j] =
              LoadWritten16(keys + (first + g / 2 * 4 + g % 2 + n * 2) * kHeadSize + j * 32 + t * 8);
#pragma unroll
      for (int d = 0; d < 8; ++d) v[d] = LoadWritten8(values + (d * 8 + g) * kContext + first + t * 4);
#pragma unroll
      for (int n = 0; n < 2; ++n) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const uint4 k = key_parts[n][j];
          const uint32_t a0[4] = {query[j * 2][0], 0, query[j * 2][1], 0};
          const uint32_t a1[4] = {query[j * 2 + 1][0], 0, query[j * 2 + 1][1], 0};
          Mma(score[n], a0, k.x, k.y);
          Mma(score[n], a1, k.z, k.w);
        }
      }
      float top = -1e30f;
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int key = first + t * 4 + n * 2 + i;
          if (key < low || key > position) score[n][i] = -1e30f;
          top = fmaxf(top, score[n][i]);
        }
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
      const float now = fmaxf(largest, top), old = __expf(largest - now);
      largest = now;
      float weight[2][2], add = 0;
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          weight[n][i] = score[n][i] <= -1e30f ? 0.0f : __expf(score[n][i] - now);
          add += weight[n][i];
        }
      total = total * old + add;
      const uint32_t a[4] = {ToBf16x2(weight[0][0], weight[0][1]), 0, ToBf16x2(weight[1][0], weight[1][1]),
                             0};
#pragma unroll
      for (int d = 0; d < 8; ++d) {
        sums[d][0] *= old;
        sums[d][1] *= old;
        Mma(sums[d], a, v[d].x, v[d].y);
      }
    }
    total += __shfl_xor_sync(~0u, total, 1);
    total += __shfl_xor_sync(~0u, total, 2);
#pragma unroll
    for (int d = 0; d < 8; ++d)
      *reinterpret_cast<float2*>(&partial[b.warp][g][d * 8 + t * 2]) = {sums[d][0], sums[d][1]};
    if (t == 0) {
      b.shared.logits[b.warp * 8 + g] = largest;
      b.shared.logits[64 + b.warp * 8 + g] = total;
    }
  }
  __syncthreads();
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    const int i = threadIdx.x + u * kThreads, row = i / kHeadSize, d = i % kHeadSize;
    if (row >= 8) break;
    const float sink = e.sinks[u];
    float largest = sink;
#pragma unroll
    for (int w = 0; w < 8; ++w) largest = fmaxf(largest, b.shared.logits[w * 8 + row]);
    float total = __expf(sink - largest), sum = 0;
#pragma unroll
    for (int w = 0; w < 8; ++w) {
      const float scale = __expf(b.shared.logits[w * 8 + row] - largest);
      total += scale * b.shared.logits[64 + w * 8 + row];
      sum += scale * partial[w][row][d];
    }
    for (int c = 0; c < m.copies; ++c)
      m.attention[c * kQuery + (head * 8 + row) * kHeadSize + d] = ToBf16(sum / total);
  }
}

// ---- K3: O, residual, this block's part of the router -----------------------------------------------------

constexpr int kMaxRouterRows = 8;  // of a thread
struct OutEarly {
  float bias;
  float norm;  // of row threadIdx.x
  uint16_t router[kMaxRouterRows];
};
__device__ inline OutEarly BeforeOut(const Model& m, const Block& b, int layer) {
  OutEarly e{};
  const int first = b.Begin(kOutGroups) * 8, rows = b.End(kOutGroups) * 8 - first, row = threadIdx.x;
  if (row < rows) {
    e.bias = __ldg(m.biases + static_cast<size_t>(layer) * (kQkvRows + kHidden) + kQkvRows + first + row);
    e.norm = __ldg(m.norms + (layer * 2 + 1) * kHidden + first + row);
  }
  const int expert = threadIdx.x % m.experts, slots = kThreads / m.experts, slot = threadIdx.x / m.experts;
#pragma unroll
  for (int u = 0; u < kMaxRouterRows; ++u) {
    const int r = slot + u * slots;
    if (r < rows)
      e.router[u] = __ldg(m.router + (static_cast<size_t>(layer) * kHidden + first + r) * m.experts + expert);
  }
  return e;
}
__device__ inline void Out(const Model& m, Block& b, int layer, const OutEarly& e) {
  const int first = b.Begin(kOutGroups) * 8, rows = b.End(kOutGroups) * 8 - first, row = threadIdx.x;
  const uint4 first_part = LoadWritten16(m.attention + b.copy * kQuery + threadIdx.x * 8);
  const int rest = threadIdx.x + kThreads;
  if (rest < kQuery / 8)
    reinterpret_cast<uint4*>(b.shared.x)[rest] = LoadWritten16(m.attention + b.copy * kQuery + rest * 8);
  reinterpret_cast<uint4*>(b.shared.x)[threadIdx.x] = first_part;
  float before = 0;
  if (row < rows) {
    if (layer == 0)
      before = FromBf16(__ldg(m.embedding + size_t{b.token} * kHidden + first + row));
    else
      before = LoadActivation(m.residual + first + row);
  }
  __syncthreads();
  Bf16Product<kQueryCols, kQueryChunks>(b);
  __syncthreads();
  float value = 0;
  if (row < rows) {
    value = before + SumOfChunks<kQueryChunks>(b, row / 8, row % 8) + e.bias;
    for (int c = 0; c < m.copies; ++c) m.middle[c * kHidden + first + row] = value;
    b.shared.rows[row] = value * e.norm;
  }
  if (b.warp == 0) {  // rows <= 24
    float square = value * value;
    for (int d = 16; d > 0; d >>= 1) square += __shfl_xor_sync(~0u, square, d);
    if (b.lane < m.copies)
      m.router_parts[(b.lane * kMaxBlocks + b.cta) * (m.experts + 4) + m.experts] = square;
  }
  __syncthreads();
  const int slots = kThreads / m.experts, slot = threadIdx.x / m.experts;
  float logit = 0;
#pragma unroll
  for (int u = 0; u < kMaxRouterRows; ++u) {
    const int r = slot + u * slots;
    if (r < rows) logit += FromBf16(e.router[u]) * b.shared.rows[r];
  }
  b.shared.logits[threadIdx.x] = logit;
  __syncthreads();
  if (static_cast<int>(threadIdx.x) < m.experts) {
    float sum = 0;
    for (int s = 0; s < slots; ++s) sum += b.shared.logits[s * m.experts + threadIdx.x];
    for (int c = 0; c < m.copies; ++c)
      m.router_parts[(c * kMaxBlocks + b.cta) * (m.experts + 4) + threadIdx.x] = sum;
  }
}

// ---- K4: router's choice in every block, norm, gate_up, SwiGLU --------------------------------------------

struct RouterEarly {
  NormWeights norm;
  float bias;
};
__device__ inline RouterEarly BeforeGateUp(const Model& m, int layer) {
  RouterEarly e{LoadNorm(m.norms + (layer * 2 + 1) * kHidden), 0};
  if (static_cast<int>(threadIdx.x) < m.experts)
    e.bias = __ldg(m.router_bias + layer * m.experts + threadIdx.x);
  return e;
}
// Leaves ids and weights in shared memory and x for the experts. Ends with a sync. All loads are under way at
// once: one after the other they cost 6 us (32 experts) and 14 us (128).
template <int kExperts>
__device__ inline void RouteAmong(const Model& m, Block& b, const RouterEarly& e) {
  const Values h = LoadValues(m.middle + b.copy * kHidden);
  const float* router_parts = m.router_parts + b.copy * kMaxBlocks * (kExperts + 4);
  constexpr int kStride = kExperts + 4, slots = kThreads / kExperts,
                kParts = (kMaxBlocks + slots - 1) / slots;
  const int expert = threadIdx.x % kExperts, slot = threadIdx.x / kExperts;
  float logit = 0, square = 0, parts[kParts];
#pragma unroll
  for (int i = 0; i < kParts; ++i) {
    const int block = slot + i * slots;
    parts[i] = block < b.ncta ? LoadActivation(router_parts + block * kStride + expert) : 0;
  }
  if (static_cast<int>(threadIdx.x) < b.ncta)
    square = LoadActivation(router_parts + threadIdx.x * kStride + kExperts);
#pragma unroll
  for (int i = 0; i < kParts; ++i) logit += parts[i];
  b.shared.logits[threadIdx.x] = logit;
  if (static_cast<int>(threadIdx.x) < m.experts) b.shared.part[threadIdx.x] = e.bias;
  const float rms = Rms(b.Sum(square));  // a sync is in there
  if (b.warp == 0) {
    float mine[4];
#pragma unroll
    for (int u = 0; u < 4; ++u) {
      const int id = b.lane + u * 32;
      mine[u] = -INFINITY;
      if (id < m.experts) {
        float sum = 0;
        for (int s = 0; s < slots; ++s) sum += b.shared.logits[s * m.experts + id];
        mine[u] = sum * rms + b.shared.part[id];
      }
    }
    float chosen[kTopK];
#pragma unroll
    for (int k = 0; k < kTopK; ++k) {
      float best = -INFINITY;
      int id = 1 << 20;
#pragma unroll
      for (int u = 0; u < 4; ++u)
        if (mine[u] > best) {
          best = mine[u];
          id = b.lane + u * 32;
        }
      for (int d = 16; d > 0; d >>= 1) {
        const float other = __shfl_xor_sync(~0u, best, d);
        const int other_id = __shfl_xor_sync(~0u, id, d);
        if (other > best || (other == best && other_id < id)) {
          best = other;
          id = other_id;
        }
      }
      chosen[k] = best;
#pragma unroll
      for (int u = 0; u < 4; ++u)
        if (id == b.lane + u * 32) mine[u] = -INFINITY;
      // (Without dependencies values can be anything; ids must stay in range.)
      if (b.lane == 0) b.shared.route_ids[k] = id < m.experts ? id : k;
    }
    float weights[kTopK], total = 0;
#pragma unroll
    for (int k = 0; k < kTopK; ++k) total += weights[k] = __expf(chosen[k] - chosen[0]);
#pragma unroll
    for (int k = 0; k < kTopK; ++k)
      if (b.lane == k) b.shared.route_weights[k] = weights[k] / total;
  }
  WriteNormed(b, h, e.norm, rms);
  __syncthreads();
}
__device__ inline void Route(const Model& m, Block& b, const RouterEarly& e) {
  if (m.experts == 32)
    RouteAmong<32>(m, b, e);
  else
    RouteAmong<128>(m, b, e);
}
__device__ inline void GateUp(const Model& m, Block& b, int layer) {
  const int begin = b.Begin(kTopK * kGateUpGroups), groups = b.End(kTopK * kGateUpGroups) - begin;
  const int pair = threadIdx.x, group = begin + pair / 4;
  float gate_bias = 0, up_bias = 0;
  if (pair < groups * 4) {
    const float* bias =
        m.gate_up_bias +
        (static_cast<size_t>(layer) * m.experts + b.shared.route_ids[group / kGateUpGroups]) * 2 * kHidden +
        group % kGateUpGroups * 8 + pair % 4;
    gate_bias = __ldg(bias);
    up_bias = __ldg(bias + 4);
  }
  SharedTokens<false> tokens(b.shared.x, 0, 1, kExpertCols, b.lane);
  tokens.at += b.warp % kExpertChunks * kExpertCols * 2;
  const RegisterTokens<kExpertCols / 32> x(tokens);
  b.ForPieces([&](const uint8_t* slot, int i) {
    Sums<false> sums;
    sums.Clear();
    Mxfp4Form::Dot<kExpertCols / 32>(slot, b.lane, x, 0, sums);
    const float2 row = sums.Row();
    if (b.lane % 4 == 0) b.shared.part[(i * kWarps + b.warp) * 8 + b.lane / 4] = row.x;
  });
  __syncthreads();
  if (pair >= groups * 4) return;
  float gate = SumOfChunks<kExpertChunks>(b, pair / 4, pair % 4) + gate_bias;
  float up = SumOfChunks<kExpertChunks>(b, pair / 4, pair % 4 + 4) + up_bias;
  gate = fminf(gate, kSwigluLimit);
  up = fminf(fmaxf(up, -kSwigluLimit), kSwigluLimit);
  const uint16_t value = ToBf16((up + 1) * gate / (1 + __expf(-kSwigluAlpha * gate)));
  for (int c = 0; c < m.copies; ++c)
    m.activated[c * kTopK * kHidden + group / kGateUpGroups * kHidden + group % kGateUpGroups * 4 +
                pair % 4] = value;
}

// ---- K5: down, weights, residual --------------------------------------------------------------------------

struct DownEarly {
  float bias[kTopK];
};
__device__ inline DownEarly BeforeDown(const Model& m, const Block& b, int layer) {  // routes must be known
  DownEarly e{};
  const int first = b.Begin(kOutGroups) * 8, rows = b.End(kOutGroups) * 8 - first, row = threadIdx.x;
  if (row < rows)
#pragma unroll
    for (int k = 0; k < kTopK; ++k)
      e.bias[k] =
          __ldg(m.down_bias + (static_cast<size_t>(layer) * m.experts + b.shared.route_ids[k]) * kHidden +
                first + row);
  return e;
}
__device__ inline void Down(const Model& m, Block& b, const DownEarly& e) {
  const int first = b.Begin(kOutGroups) * 8, rows = b.End(kOutGroups) * 8 - first, row = threadIdx.x;
  // A warp has one expert's run of columns: it brings its own x.
  RegisterTokens<kExpertCols / 32> x(m.activated + b.copy * kTopK * kHidden +
                                         b.warp / kExpertChunks * kHidden +
                                         b.warp % kExpertChunks * kExpertCols,
                                     kExpertCols, b.lane);
  const float before = row < rows ? LoadActivation(m.middle + first + row) : 0;
  b.ForPieces([&](const uint8_t* slot, int i) {
    Sums<false> sums;
    sums.Clear();
    Mxfp4Form::Dot<kExpertCols / 32>(slot, b.lane, x, 0, sums);
    const float2 r = sums.Row();
    if (b.lane % 4 == 0) b.shared.part[(i * kWarps + b.warp) * 8 + b.lane / 4] = r.x;
  });
  __syncthreads();
  if (row >= rows) return;
  float sum = before;
#pragma unroll
  for (int k = 0; k < kTopK; ++k)
    sum +=
        b.shared.route_weights[k] * (SumOfChunks<kExpertChunks>(b, row / 8 * kTopK + k, row % 8) + e.bias[k]);
  for (int c = 0; c < m.copies; ++c) m.residual[c * kHidden + first + row] = sum;
}

// ---- K6: final norm, unembedding, the largest logit -------------------------------------------------------

__device__ inline unsigned long long Ordered(float v, uint32_t id) {
  const uint32_t bits = __float_as_uint(v), key = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<unsigned long long>(key) << 32 | ~id;
}
__device__ inline void Head(const Model& m, Block& b, const NormWeights& norm) {
  const Values h = LoadValues(m.residual + b.copy * kHidden);
  const float sum = SumOfSquares(b, h);
  WriteNormed(b, h, norm, Rms(sum));
  __syncthreads();
  const SharedTokens<false> x(b.shared.x, 0, 1, kHiddenCols, b.lane);
  const int begin = b.Begin(kVocabularyGroups);
  unsigned long long best = 0;
  Sums<false> sums;
  float row = 0;
  b.ForPieces([&](const uint8_t* slot, int i) {
    const int chunk = i % kHiddenChunks;
    if (chunk == 0) row = 0;
    SharedTokens<false> at = x;
    at.at += chunk * kHiddenCols * 2;
    sums.Clear();
    Bf16Form::Dot<kHiddenCols / 32>(slot, b.lane, at, 0, sums);
    row += sums.Row().x;
    if (chunk == kHiddenChunks - 1 && b.lane % 4 == 0) {
      const int id = (begin + i / kHiddenChunks * kWarps + b.warp) * 8 + b.lane / 4;
      const unsigned long long key = Ordered(row, id);
      best = key > best ? key : best;
    }
  });
  for (int d = 16; d > 0; d >>= 1) {
    const unsigned long long other = __shfl_xor_sync(~0u, best, d);
    best = other > best ? other : best;
  }
  if (b.lane == 0) atomicMax(&m.state->best, best);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0 && atomicAdd(&m.state->finished, 1) == static_cast<uint32_t>(b.ncta) - 1) {
    __threadfence();
    State& s = *m.state;
    s.token = ~static_cast<uint32_t>(atomicExch(&s.best, 0));
    s.finished = 0;
    s.position = s.position + 1 < kContext / 2 ? s.position + 1 : s.position;
    ++s.step;
    if (m.host_token != nullptr) *m.host_token = s.token;
  }
}

}  // namespace limits::step
