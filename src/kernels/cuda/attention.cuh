// Attention of one row and KV head over one split of its keys by a block, in f32; keys and values as kept.
// The last block of a row and head adds its splits up in their order, and the sink. Which keys a split has
// depends on the row's position and the window alone.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/block.cuh"
#include "kernels/cuda/step_args.h"

namespace oxidized::cuda {

template <int kParts>
struct KvValue {
  using Type = float;
  __device__ static Type Of(float x, Arithmetic a) {
    return a == Arithmetic::kF16 ? __half2float(__float2half_rn(x)) : x;
  }
  __device__ static float ToFloat(Type x) { return x; }
};
template <>
struct KvValue<1> {
  using Type = __nv_bfloat16;
  __device__ static Type Of(float x, Arithmetic) { return __float2bfloat16_rn(x); }
  __device__ static float ToFloat(Type x) { return __bfloat162float(x); }
};

// Where a position lies in its group's memory: block * kKvRows + row of the block.
__device__ inline int64_t KvRowOf(const TableArgs& table, int sequence, int64_t position) {
  const auto offset = static_cast<uint32_t>(position - table.first_position[sequence]);
  return int64_t{table.block_ids[table.offsets[sequence] + offset / kKvRows]} * kKvRows + offset % kKvRows;
}
// The D values there: key (0) or value (1).
template <int kParts>
__device__ inline typename KvValue<kParts>::Type* KvOfRow(const ModelArgs& m, const LayerArgs& layer,
                                                          int64_t kv_row, int kv_head, int which) {
  const int row = ((layer.index_in_group * m.kv_heads + kv_head) * 2 + which) * kKvRows +
                  static_cast<int>(kv_row % kKvRows);
  return reinterpret_cast<typename KvValue<kParts>::Type*>(layer.kv.memory +
                                                           kv_row / kKvRows * layer.kv.block_bytes) +
         int64_t{row} * m.d;
}

// q . k, in the order of the elements.
template <int kParts>
__device__ inline float DotKey(const float* q, const typename KvValue<kParts>::Type* key, int d) {
  using Value = KvValue<kParts>;
  using Type = typename Value::Type;
  constexpr int kEach = 16 / sizeof(Type);
  float sum = 0.0f;
  if (d % kEach == 0) {
    for (int i = 0; i < d; i += kEach) {
      Type values[kEach];
      *reinterpret_cast<uint4*>(values) = *reinterpret_cast<const uint4*>(key + i);
#pragma unroll
      for (int j = 0; j < kEach; ++j) sum = fmaf(q[i + j], Value::ToFloat(values[j]), sum);
    }
  } else {
    for (int i = 0; i < d; ++i) sum = fmaf(q[i], Value::ToFloat(key[i]), sum);
  }
  return sum;
}

template <int kParts>
__device__ void AttendSplit(const ModelArgs& m, const StepArgs& a, const LayerArgs& layer, int t, int kv_head,
                            int split, float* shared) {
  using Value = KvValue<kParts>;
  using Type = typename Value::Type;
  const int n = m.heads / m.kv_heads, d = m.d, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int sequence = a.sequence_of[t];
  const TableArgs table = a.tables[layer.group];
  const int64_t last = a.positions[t], first = FirstVisible(last, layer.window);
  const int splits = SplitsOf(last - first + 1);
  const int64_t keys = SplitKeys(last - first + 1);
  const int64_t begin = first + split * keys, end = min(last + 1, begin + keys);
  const float scale = 1.0f / sqrtf(static_cast<float>(d));

  float* q = shared;                          // [n, D]
  float* out = q + n * d;                     // [n, D]
  float* scores = out + n * d;                // [n, kKeysAtOnce]
  float* highest = scores + n * kKeysAtOnce;  // [n]
  float* total = highest + n;
  float* shrink = total + n;
  float* of_warps =
      shared + RoundUp(n * (2 * d + kKeysAtOnce + 3), 2);  // [warps][kHeadsAtOnce][kElementsAtOnce]
  auto* key_at =
      reinterpret_cast<const Type**>(of_warps + kWarps * kHeadsAtOnce * kElementsAtOnce);  // [keys]
  __syncthreads();
  for (int i = threadIdx.x; i < n * d; i += kThreads) {
    q[i] = a.query[(int64_t{t} * m.heads + kv_head * n) * d + i];
    out[i] = 0.0f;
  }
  for (int h = threadIdx.x; h < n; h += kThreads) {
    highest[h] = -INFINITY;
    total[h] = 0.0f;
  }
  __syncthreads();

  for (int64_t from = begin; from < end; from += kKeysAtOnce) {
    const int count = static_cast<int>(min(end - from, int64_t{kKeysAtOnce}));
    for (int j = threadIdx.x; j < count; j += kThreads)
      key_at[j] = KvOfRow<kParts>(m, layer, KvRowOf(table, sequence, from + j), kv_head, 0);
    __syncthreads();
    for (int i = threadIdx.x; i < n * count; i += kThreads) {
      const int j = i % count, h = i / count;
      scores[h * kKeysAtOnce + j] = DotKey<kParts>(q + h * d, key_at[j], d) * scale;
    }
    __syncthreads();
    for (int h = warp; h < n; h += kWarps) {
      float* of = scores + h * kKeysAtOnce;
      float most = highest[h];
      for (int j = lane; j < count; j += 32) most = of[j] > most ? of[j] : most;
#pragma unroll
      for (int step = 16; step > 0; step >>= 1) {
        const float other = __shfl_xor_sync(~0u, most, step);
        most = other > most ? other : most;
      }
      float sum = 0.0f;
      for (int j = lane; j < count; j += 32) {
        of[j] = expf(of[j] - most);
        sum += of[j];
      }
      sum = WarpSum(sum);
      if (lane == 0) {
        shrink[h] = expf(highest[h] - most);
        total[h] = fmaf(total[h], shrink[h], sum);
        highest[h] = most;
      }
    }
    __syncthreads();
    // Values: a warp has every kWarps-th key, its sums are added in the order of the warps.
    for (int h0 = 0; h0 < n; h0 += kHeadsAtOnce) {
      for (int e0 = 0; e0 < d; e0 += kElementsAtOnce) {
        float sums[kHeadsAtOnce][2] = {};
        const bool there[2] = {e0 + lane < d, e0 + lane + 32 < d};
#pragma unroll 4
        for (int j = warp; j < count; j += kWarps) {
          const Type* value =
              key_at[j] + kKvRows * d + e0 + lane;  // the values of a block lie behind its keys
          const float x[2] = {there[0] ? Value::ToFloat(value[0]) : 0.0f,
                              there[1] ? Value::ToFloat(value[32]) : 0.0f};
#pragma unroll
          for (int h = 0; h < kHeadsAtOnce; ++h) {
            const float weight = h0 + h < n ? scores[(h0 + h) * kKeysAtOnce + j] : 0.0f;
            sums[h][0] = fmaf(weight, x[0], sums[h][0]);
            sums[h][1] = fmaf(weight, x[1], sums[h][1]);
          }
        }
        float* mine = of_warps + warp * kHeadsAtOnce * kElementsAtOnce;
#pragma unroll
        for (int h = 0; h < kHeadsAtOnce; ++h) {
          mine[h * kElementsAtOnce + lane] = sums[h][0];
          mine[h * kElementsAtOnce + lane + 32] = sums[h][1];
        }
        __syncthreads();
        for (int i = threadIdx.x; i < kHeadsAtOnce * kElementsAtOnce; i += kThreads) {
          const int h = h0 + i / kElementsAtOnce, e = e0 + i % kElementsAtOnce;
          if (h >= n || e >= d) continue;
          float sum = out[h * d + e] * shrink[h];
          for (int w = 0; w < kWarps; ++w) sum += of_warps[w * kHeadsAtOnce * kElementsAtOnce + i];
          out[h * d + e] = sum;
        }
        __syncthreads();
      }
    }
  }

  // [split][D + 2] of a head: the sum, its denominator, the highest score.
  const int64_t of_head = int64_t{a.max_splits} * (d + 2);
  float* mine = a.splits + (int64_t{t} * m.heads + kv_head * n) * of_head;
  for (int i = threadIdx.x; i < n * (d + 2); i += kThreads) {
    const int h = i / (d + 2), e = i % (d + 2);
    mine[h * of_head + split * (d + 2) + e] = e < d ? out[h * d + e] : e == d ? total[h] : highest[h];
  }
  if (!ArrivesLast(a.split_arrivals + int64_t{t} * m.kv_heads + kv_head, splits)) return;

  // Of each head: the splits' highest scores into `of_warps`, their weights and denominators into `scores`,
  // its denominator into `total`.
  for (int i = threadIdx.x; i < n * splits; i += kThreads) {
    const float* of = mine + i / splits * of_head + i % splits * (d + 2);
    of_warps[i / splits * kMaxSplits + i % splits] = __ldcg(of + d + 1);          // highest score
    scores[i / splits * kKeysAtOnce + kMaxSplits + i % splits] = __ldcg(of + d);  // denominator
  }
  __syncthreads();
  for (int h = threadIdx.x; h < n; h += kThreads) {
    const float sink = layer.sinks[kv_head * n + h];
    float most = sink;
    for (int s = 0; s < splits; ++s) {
      const float other = of_warps[h * kMaxSplits + s];
      most = other > most ? other : most;
    }
    float denominator = expf(sink - most);
    for (int s = 0; s < splits; ++s) {
      const float weight = expf(of_warps[h * kMaxSplits + s] - most);
      scores[h * kKeysAtOnce + s] = weight;
      denominator = fmaf(scores[h * kKeysAtOnce + kMaxSplits + s], weight, denominator);
    }
    total[h] = denominator;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < n * d; i += kThreads) {
    const int h = i / d;
    const float* of = mine + h * of_head + i % d;
    float parts[kMaxSplits];
#pragma unroll
    for (int s = 0; s < kMaxSplits; ++s) parts[s] = s < splits ? __ldcg(of + s * (d + 2)) : 0.0f;
    float sum = 0.0f;
#pragma unroll
    for (int s = 0; s < kMaxSplits; ++s) {
      if (s < splits) sum = fmaf(parts[s], scores[h * kKeysAtOnce + s], sum);
    }
    a.attention[(int64_t{t} * m.heads + kv_head * n) * d + i] = sum / total[h];
  }
}

}  // namespace oxidized::cuda
