// Products of a block: inputs into shared memory as parts of bf16, units of weights against them on tensor
// cores, sums of chunks in their order. A row's bits depend on its inputs and weights alone: every unit is
// summed from zero by one warp, in two chains for each half of its columns; then parts from the smallest,
// planes from the smallest, chunks from the first. Neither the number of tokens nor the split of work is in
// that order.
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/layout.h"
#include "kernels/cuda/parts.h"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/schedule.h"

namespace oxidized::cuda {

// A block's dynamic shared memory: inputs of a tile of tokens, then sums of units, twice, so that one pass may
// be reduced while the next is made.
template <int kParts>
struct Inputs {
  uint8_t* at;
  int cols, stride;

  __device__ Inputs(uint8_t* shared, int padded_cols)
      : at(shared), cols(padded_cols), stride(InputStride(padded_cols)) {}
  __device__ uint16_t* Row(int part, int token) const {
    return reinterpret_cast<uint16_t*>(at + (part * kTileTokens + token) * stride);
  }
  __device__ float* Partials(int which, int chunks) const {
    return reinterpret_cast<float*>(at + stride * kParts * kTileTokens) + which * PassFloats(chunks);
  }
  // x rounded as the arithmetic says (f16 first, where two parts hold it).
  __device__ void Set(int token, int column, float x) const {
    if constexpr (kParts == 2) x = __half2float(__float2half_rn(x));
    uint16_t parts[kParts];
    SplitInto<kParts>(x, parts);
#pragma unroll
    for (int p = 0; p < kParts; ++p) Row(p, token)[column] = parts[p];
  }
  // Columns behind the values. Rows beside the tokens are met by an instruction too: they may hold anything, since
  // its columns do not touch each other.
  __device__ void ClearPadding(int tokens, int values) const {
    const int padding = cols - values;
    for (int i = threadIdx.x; i < tokens * padding; i += kThreads) {
#pragma unroll
      for (int p = 0; p < kParts; ++p) Row(p, i / padding)[values + i % padding] = 0;
    }
  }
};

// Products that a block makes together: groups of rows of matrices that are cut alike, each against rows of the
// inputs. In shared memory.
struct Job {
  Matrix m;
  int first_group, through;  // its first group; groups of all jobs up to and with it
  int row, tokens;           // rows of the inputs
  int tag;                   // the caller's
};
struct Jobs {
  Job job[kTileTokens];
  int n, most_tokens;

  __device__ void Clear() { n = most_tokens = 0; }
  __device__ int groups() const { return n == 0 ? 0 : job[n - 1].through; }
  __device__ void Add(const Matrix& m, int begin, int end, int row, int tokens, int tag) {
    job[n] = {m, begin, groups() + end - begin, row, tokens, tag};
    ++n;
    most_tokens = max(most_tokens, tokens);
  }
  // Of the group that is number q of all.
  __device__ const Job& Of(int q) const {
    int j = 0;
    while (q >= job[j].through) ++j;
    return job[j];
  }
  __device__ int GroupAt(const Job& of, int q) const {
    return of.first_group + q - (&of == job ? 0 : (&of - 1)->through);
  }
};

template <int kParts, bool kFull>
struct Sums {
  static constexpr int kHalves = kFull ? 2 : 1;
  float v[kParts][kHalves][2][4];  // chains of even and odd steps

  __device__ void Clear() {
#pragma unroll
    for (int p = 0; p < kParts; ++p)
#pragma unroll
      for (int h = 0; h < kHalves; ++h)
#pragma unroll
        for (int i = 0; i < 8; ++i) v[p][h][i / 4][i % 4] = 0.0f;
  }
  // Two steps against 32 columns of each half; `x` points to this lane's 16 bytes of the first part.
  __device__ void Add(const uint32_t* a, const uint8_t* x, int part_bytes, int second_bytes) {
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
#pragma unroll
      for (int h = 0; h < kHalves; ++h) {
        const uint4 b = *reinterpret_cast<const uint4*>(x + p * part_bytes + h * second_bytes);
        Mma(v[p][h][0], a, b.x, b.y);
        Mma(v[p][h][1], a + 4, b.z, b.w);
      }
    }
  }
  // Of the unit's row lane / 4: tokens 2 t and 2 t + 1; at most 4 tokens: where t < 2 alone.
  __device__ float2 Row() const {
    float2 sum = {0.0f, 0.0f};
#pragma unroll
    for (int p = kParts - 1; p >= 0; --p) {
      float2 part;
      if constexpr (kFull) {
        part.x = (v[p][0][0][0] + v[p][0][1][0]) + (v[p][1][0][2] + v[p][1][1][2]);
        part.y = (v[p][0][0][1] + v[p][0][1][1]) + (v[p][1][0][3] + v[p][1][1][3]);
      } else {
        const float second0 = __shfl_down_sync(~0u, v[p][0][0][2] + v[p][0][1][2], 2);
        const float second1 = __shfl_down_sync(~0u, v[p][0][0][3] + v[p][0][1][3], 2);
        part.x = (v[p][0][0][0] + v[p][0][1][0]) + second0;
        part.y = (v[p][0][0][1] + v[p][0][1][1]) + second1;
      }
      sum.x = p == kParts - 1 ? part.x : sum.x + part.x;
      sum.y = p == kParts - 1 ? part.y : sum.y + part.y;
    }
    return sum;
  }
};

template <int kParts, bool kFull>
__device__ inline void DotBf16(const uint8_t* unit, int steps, int lane, const uint8_t* x, int part_bytes,
                               int second_bytes, Sums<kParts, kFull>& sums) {
#pragma unroll 5
  for (int j = 0; j < steps / 2; ++j) {
    uint32_t a[8];
    *reinterpret_cast<uint4*>(a) = LoadWeights(unit + Bf16ByteAt(2 * j, lane));
    *reinterpret_cast<uint4*>(a + 4) = LoadWeights(unit + Bf16ByteAt(2 * j + 1, lane));
    sums.Add(a, x + j * 64, part_bytes, second_bytes);
  }
}

// first, second: the scales of the two halves of columns, each twice.
__device__ inline void DecodeMxfp4(uint32_t w, uint32_t first, uint32_t second, uint32_t* a) {
#pragma unroll
  for (int reg = 0; reg < 4; ++reg) a[reg] = MultiplyBf16x2(CodesAsBf16(w, reg), reg % 2 ? second : first);
}

template <int kParts, bool kFull>
__device__ inline void DotMxfp4(const uint8_t* unit, int steps, int lane, const uint8_t* x, int part_bytes,
                                int second_bytes, Sums<kParts, kFull>& sums) {
  const uint8_t* scales = unit + ScaleByteAt(lane / 4, 0, 0, steps);
  const auto two_steps = [&](uint32_t w0, uint32_t w1, uint32_t two_scales, int j) {
    const uint32_t first = __byte_perm(two_scales, 0, 0x4040) << 7, second = __byte_perm(two_scales, 0, 0x4141) << 7;
    uint32_t a[8];
    DecodeMxfp4(w0, first, second, a);
    DecodeMxfp4(w1, first, second, a + 4);
    sums.Add(a, x + j * 64, part_bytes, second_bytes);
  };
  int j = 0;  // pair of steps
  uint4 s = {0, 0, 0, 0};
#pragma unroll 4
  for (; j + 2 <= steps / 2; j += 2) {
    if (j % 8 == 0) s = LoadWeights(scales + j * 2);
    const uint32_t word = j % 8 == 0 ? s.x : j % 8 == 2 ? s.y : j % 8 == 4 ? s.z : s.w;
    const uint4 w = LoadWeights(unit + CodesByteAt(2 * j, lane, steps));
    two_steps(w.x, w.y, word, j);
    two_steps(w.z, w.w, word >> 16, j + 1);
  }
  if (j < steps / 2) {
    if (j % 8 == 0) s = LoadWeights(scales + j * 2);
    const uint32_t word = j % 8 == 0 ? s.x : j % 8 == 2 ? s.y : j % 8 == 4 ? s.z : s.w;
    const uint2 w = LoadWeights8(unit + CodesByteAt(2 * j, lane, steps));
    two_steps(w.x, w.y, word, j);
  }
}

// The sums of every unit of the groups [begin, begin + n) of the jobs into `partial` [n * chunks][8 rows][8 tokens].
template <int kParts, bool kFull>
__device__ __noinline__ void SumUnits(const Jobs& jobs, int begin, int n, const Inputs<kParts>& x, float* partial) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int chunks = jobs.job[0].m.chunks, unit_cols = jobs.job[0].m.unit_cols;
  const int steps = StepsOf(unit_cols), half_bytes = unit_cols;  // unit_cols / 2 columns of 2 bytes
  const int part_bytes = x.stride * kTileTokens;
  for (int u = warp; u < n * chunks; u += kWarps) {
    const int chunk = u % chunks, q = begin + u / chunks;
    const Job& job = jobs.Of(q);
    const Matrix& m = job.m;
    const uint8_t* unit = m.units + (int64_t{jobs.GroupAt(job, q)} * chunks + chunk) * m.planes * m.unit_bytes;
    const int row = kFull ? g : min(job.row + g % 4, kTileTokens - 1);
    const uint8_t* inputs =
        x.at + row * x.stride + chunk * unit_cols * 2 + t * 16 + (kFull ? 0 : g / 4 * half_bytes);
    Sums<kParts, kFull> sums;
    float2 total = {0.0f, 0.0f};
    for (int plane = m.planes - 1; plane >= 0; --plane) {
      sums.Clear();
      if (m.form == Form::kMxfp4)
        DotMxfp4<kParts, kFull>(unit, steps, lane, inputs, part_bytes, half_bytes, sums);
      else
        DotBf16<kParts, kFull>(unit + plane * m.unit_bytes, steps, lane, inputs, part_bytes, half_bytes, sums);
      const float2 of_row = sums.Row();
      total.x = plane == m.planes - 1 ? of_row.x : total.x + of_row.x;
      total.y = plane == m.planes - 1 ? of_row.y : total.y + of_row.y;
    }
    if (kFull || t < 2) *reinterpret_cast<float2*>(partial + (u * kUnitRows + g) * kTileTokens + 2 * t) = total;
  }
}

// store(job, row, token, y0, y1) for the rows row (even) and row + 1 of each group and each token of its job, by any
// thread. Inputs lie in `x` and the jobs are filled, visible to the block; behind this call, and a barrier, both may
// be replaced. A job of more than 4 tokens is alone.
template <int kParts, class Store>
__device__ inline void Multiply(const Jobs& jobs, const Inputs<kParts>& x, const Store& store) {
  const int chunks = jobs.job[0].m.chunks, pass_groups = PassGroups(chunks), groups = jobs.groups();
  const int most_tokens = jobs.most_tokens;
  int which = 0;
  for (int begin = 0; begin < groups; begin += pass_groups, which ^= 1) {
    const int n = min(pass_groups, groups - begin);
    float* partial = x.Partials(which, chunks);
    if (most_tokens <= 4)
      SumUnits<kParts, false>(jobs, begin, n, x, partial);
    else
      SumUnits<kParts, true>(jobs, begin, n, x, partial);
    __syncthreads();
    for (int i = threadIdx.x; i < n * (kUnitRows / 2) * most_tokens; i += kThreads) {
      const int token = i % most_tokens, pair = i / most_tokens;
      const Job& job = jobs.Of(begin + pair / 4);
      if (token >= job.tokens) continue;
      const float* from = partial + (pair / 4 * chunks * kUnitRows + pair % 4 * 2) * kTileTokens + token;
      float y0 = from[0], y1 = from[kTileTokens];
      for (int chunk = 1; chunk < chunks; ++chunk) {
        from += kUnitRows * kTileTokens;
        y0 += from[0];
        y1 += from[kTileTokens];
      }
      store(job, jobs.GroupAt(job, begin + pair / 4) * kUnitRows + pair % 4 * 2, token, y0, y1);
    }
  }
}

}  // namespace oxidized::cuda
