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

// A block's dynamic shared memory: inputs of a tile of tokens, then sums of units, twice, so that one pass
// may be reduced while the next is made.
template <int kParts>
struct Inputs {
  uint8_t* at;
  int cols, stride;
  bool to_f16;

  __device__ Inputs(uint8_t* shared, int padded_cols, bool rounds_to_f16)
      : at(shared), cols(padded_cols), stride(InputStride(padded_cols)), to_f16(rounds_to_f16) {}
  __device__ uint16_t* Row(int part, int token) const {
    return reinterpret_cast<uint16_t*>(at + (part * kTileTokens + token) * stride);
  }
  __device__ float* Partials(int which, int chunks) const {
    return reinterpret_cast<float*>(at + stride * kParts * kTileTokens) + which * PassFloats(chunks);
  }
  // x rounded as the arithmetic says.
  __device__ void Set(int token, int column, float x) const {
    if (kParts > 1 && to_f16) x = __half2float(__float2half_rn(x));
    uint16_t parts[kParts];
    SplitInto<kParts>(x, parts);
#pragma unroll
    for (int p = 0; p < kParts; ++p) Row(p, token)[column] = parts[p];
  }
  // Columns behind the values. Rows beside the tokens are met by an instruction too: they may hold anything,
  // since its columns do not touch each other.
  __device__ void ClearPadding(int tokens, int values) const {
    const int padding = cols - values;
    for (int i = threadIdx.x; i < tokens * padding; i += kThreads) {
#pragma unroll
      for (int p = 0; p < kParts; ++p) Row(p, i / padding)[values + i % padding] = 0;
    }
  }
};

// Products that a block makes together: groups of rows of matrices that are cut alike, each against rows of
// the inputs. In shared memory.
struct Job {
  Matrix m;
  int first_group, through;  // its first group; groups of all jobs up to and with it
  int row, tokens;           // rows of the inputs
  const float* bias;         // of the matrix's rows, for whoever stores
  int place[kTileTokens];    // of an expert's tile: whose the tokens are
};
struct Jobs {
  Job job[kTileTokens];
  int n, most_tokens;
  UnitOrder order;

  __device__ void Clear() { n = most_tokens = 0; }
  __device__ int groups() const { return n == 0 ? 0 : job[n - 1].through; }
  __device__ Job& Add(const Matrix& m, const float* bias, int begin, int end, int row, int tokens) {
    Job& added = job[n];
    added.m = m;
    added.bias = bias;
    added.first_group = begin;
    added.through = groups() + end - begin;
    added.row = row;
    added.tokens = tokens;
    if (n == 0) order = {0, m.chunks, PassGroups(m.chunks)};
    ++n;
    order.groups = groups();
    most_tokens = max(most_tokens, tokens);
    return added;
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
  // Two steps against 32 columns of each half; `x`: where this lane's 16 bytes of the first part lie.
  __device__ void Add(const uint32_t* a, uint32_t x, int part_bytes, int second_bytes) {
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
#pragma unroll
      for (int h = 0; h < kHalves; ++h) {
        const uint4 b = LoadShared<uint4>(x + p * part_bytes + h * second_bytes);
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

// Where a unit's bytes are read: in the card's memory, or in shared memory after a copy.
struct InMemory {
  const uint8_t* unit;
  __device__ uint4 Load16(int at) const { return LoadWeights(unit + at); }
  __device__ uint2 Load8(int at) const { return LoadWeights8(unit + at); }
};
struct InShared {
  uint32_t unit;
  __device__ uint4 Load16(int at) const { return LoadShared<uint4>(unit + at); }
  __device__ uint2 Load8(int at) const { return LoadShared<uint2>(unit + at); }
};

// kSteps: the number of steps where it is known when compiling, else 0.
template <int kSteps, int kParts, bool kFull, class Unit>
__device__ inline void DotBf16(const Unit& unit, int dynamic_steps, int lane, uint32_t x, int part_bytes,
                               int second_bytes, Sums<kParts, kFull>& sums) {
  const auto pair = [&](int j) {
    uint32_t a[8];
    *reinterpret_cast<uint4*>(a) = unit.Load16(Bf16ByteAt(2 * j, lane));
    *reinterpret_cast<uint4*>(a + 4) = unit.Load16(Bf16ByteAt(2 * j + 1, lane));
    sums.Add(a, x + j * 64, part_bytes, second_bytes);
  };
  if constexpr (kSteps > 0) {
#pragma unroll
    for (int j = 0; j < kSteps / 2; ++j) pair(j);
  } else {
    for (int j = 0; j < dynamic_steps / 2; ++j) pair(j);
  }
}

// first, second: the scales of the two halves of columns, each twice.
__device__ inline void DecodeMxfp4(uint32_t w, uint32_t first, uint32_t second, uint32_t* a) {
#pragma unroll
  for (int reg = 0; reg < 4; ++reg) a[reg] = MultiplyBf16x2(CodesAsBf16(w, reg), reg % 2 ? second : first);
}

// Pairs of steps j and j + 1 (if there are two) of an MXFP4 unit; scales: of 8 pairs, those of j among them.
template <int kParts, bool kFull, class Unit>
__device__ inline void DotMxfp4Pairs(const Unit& unit, int steps, int j, const uint4& scales, int lane,
                                     uint32_t x, int part_bytes, int second_bytes,
                                     Sums<kParts, kFull>& sums) {
  const uint32_t of_two = j % 8 == 0 ? scales.x : j % 8 == 2 ? scales.y : j % 8 == 4 ? scales.z : scales.w;
  const auto pair = [&](uint32_t w0, uint32_t w1, uint32_t s, int k) {
    const uint32_t first = __byte_perm(s, 0, 0x4040) << 7, second = __byte_perm(s, 0, 0x4141) << 7;
    uint32_t a[8];
    DecodeMxfp4(w0, first, second, a);
    DecodeMxfp4(w1, first, second, a + 4);
    sums.Add(a, x + k * 64, part_bytes, second_bytes);
  };
  if (j + 2 <= steps / 2) {
    const uint4 w = unit.Load16(CodesByteAt(2 * j, lane, steps));
    pair(w.x, w.y, of_two, j);
    pair(w.z, w.w, of_two >> 16, j + 1);
  } else {
    const uint2 w = unit.Load8(CodesByteAt(2 * j, lane, steps));
    pair(w.x, w.y, of_two, j);
  }
}
template <int kSteps, int kParts, bool kFull, class Unit>
__device__ inline void DotMxfp4(const Unit& unit, int dynamic_steps, int lane, uint32_t x, int part_bytes,
                                int second_bytes, Sums<kParts, kFull>& sums) {
  const int steps = kSteps > 0 ? kSteps : dynamic_steps;
  if constexpr (kSteps > 0) {
    uint4 scales[(kSteps + 15) / 16];
#pragma unroll
    for (int i = 0; i < (kSteps + 15) / 16; ++i)
      scales[i] = unit.Load16(ScaleByteAt(lane / 4, i * 8, 0, kSteps));
#pragma unroll
    for (int j = 0; j < kSteps / 2; j += 2)
      DotMxfp4Pairs(unit, kSteps, j, scales[j / 8], lane, x, part_bytes, second_bytes, sums);
  } else {
    uint4 scales = {0, 0, 0, 0};
    for (int j = 0; j < steps / 2; j += 2) {
      if (j % 8 == 0) scales = unit.Load16(ScaleByteAt(lane / 4, j, 0, steps));
      DotMxfp4Pairs(unit, steps, j, scales, lane, x, part_bytes, second_bytes, sums);
    }
  }
}

template <int kParts, bool kFull, class Unit>
__device__ inline void DotUnit(Form form, const Unit& unit, int steps, int lane, uint32_t x, int part_bytes,
                               int second_bytes, Sums<kParts, kFull>& sums) {
  if (form == Form::kMxfp4) {
    if (kParts == 1 && steps == 30)
      DotMxfp4<30>(unit, steps, lane, x, part_bytes, second_bytes, sums);
    else
      DotMxfp4<0>(unit, steps, lane, x, part_bytes, second_bytes, sums);
  } else if (kParts == 1 && steps == 10) {
    DotBf16<10>(unit, steps, lane, x, part_bytes, second_bytes, sums);
  } else if (kParts == 1 && steps == 8) {
    DotBf16<8>(unit, steps, lane, x, part_bytes, second_bytes, sums);
  } else {
    DotBf16<0>(unit, steps, lane, x, part_bytes, second_bytes, sums);
  }
}

// A warp's ring of units. Lane 0 asks for the next ones, in the order of the warp's cursor over its jobs; all
// lanes wait for the oldest and read it. Its state lies in shared memory between passes. With a ring every
// matrix of the model has one plane.
struct RingState {
  UnitCursor next;  // to be asked for
  int issue_slot, read_slot, in_flight;
  uint32_t parity;  // of the slot that is read next
};
struct Rings {
  uint32_t slots_at;  // shared address of the slots of all warps
  int slots, slot_bytes;
  RingState state[kWarps];
  uint64_t barriers[kWarps][kMostSlots];

  __device__ uint32_t Slot(int warp, int slot) const { return slots_at + (warp * slots + slot) * slot_bytes; }
  __device__ uint32_t Barrier(int warp, int slot) const { return SharedAddress(&barriers[warp][slot]); }
  // By each warp, before a barrier of the block.
  __device__ void Init(int warp) {
    if (threadIdx.x % 32 == 0) {
      state[warp] = {};
      for (int i = 0; i < slots; ++i) InitCopyBarrier(Barrier(warp, i));
      FenceCopyBarriers();
    }
    __syncwarp();
  }
};

__device__ inline const uint8_t* UnitOf(const Jobs& jobs, int chunks, UnitCursor at) {
  const int q = at.pass + at.unit / chunks;
  const Job& job = jobs.Of(q);
  return job.m.units +
         (int64_t{jobs.GroupAt(job, q)} * chunks + at.unit % chunks) * job.m.planes * job.m.unit_bytes;
}

// Lane 0 of a warp asks for one unit more, if there is one.
__device__ inline void AskForUnit(Rings& rings, RingState& state, const Jobs& jobs, int warp) {
  if (state.next.pass >= jobs.order.groups) return;
  CopyBulk(rings.Slot(warp, state.issue_slot), UnitOf(jobs, jobs.order.chunks, state.next),
           jobs.job[0].m.unit_bytes, rings.Barrier(warp, state.issue_slot));
  if (++state.issue_slot == rings.slots) state.issue_slot = 0;
  ++state.in_flight;
  state.next = NextUnit(state.next, warp, jobs.order);
}

// The rings fill until `most` units are in flight, whatever the block does until it multiplies. Called by all
// threads.
__device__ inline void FillRings(Rings& rings, const Jobs& jobs, int most) {
  if (rings.slots == 0 || threadIdx.x % 32 != 0 || jobs.n == 0) return;
  const int warp = threadIdx.x / 32;
  RingState state = rings.state[warp];
  for (int i = state.in_flight; i < min(most, rings.slots); ++i) AskForUnit(rings, state, jobs, warp);
  rings.state[warp] = state;
}
// The same from the first unit of jobs that were just filled; nothing is in flight.
__device__ inline void StartRings(Rings& rings, const Jobs& jobs, int most) {
  if (threadIdx.x % 32 == 0 && jobs.n > 0)
    rings.state[threadIdx.x / 32].next = FirstUnit(threadIdx.x / 32, jobs.order);
  FillRings(rings, jobs, most);
}

// The sums of every unit of the pass that begins with group `begin` of the jobs, into `partial`
// [units][8 rows][8 tokens].
template <int kParts, bool kFull>
__device__ __noinline__ void SumUnits(const Jobs& jobs, Rings& rings, int begin, const Inputs<kParts>& x,
                                      float* partial) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const Matrix& first = jobs.job[0].m;
  const int chunks = first.chunks, unit_cols = first.unit_cols, unit_bytes = first.unit_bytes;
  const Form form = first.form;
  const int steps = StepsOf(unit_cols), half_bytes = unit_cols;  // unit_cols / 2 columns of 2 bytes
  const int part_bytes = x.stride * kTileTokens, units = UnitsOfPass(begin, jobs.order);
  const uint32_t inputs_at = SharedAddress(x.at) + t * 16 + (kFull ? 0 : g / 4 * half_bytes);
  const bool has_ring = kParts == 1 && rings.slots > 0;
  RingState state = rings.state[warp];
  for (int u = warp; u < units; u += kWarps) {
    const Job& job = jobs.Of(begin + u / chunks);
    const int row = kFull ? g : min(job.row + g % 4, kTileTokens - 1);
    const uint32_t inputs = inputs_at + row * x.stride + u % chunks * unit_cols * 2;
    Sums<kParts, kFull> sums;
    float2 total = {0.0f, 0.0f};
    if (has_ring) {
      WaitForCopy(rings.Barrier(warp, state.read_slot), state.parity);
      sums.Clear();
      DotUnit(form, InShared{rings.Slot(warp, state.read_slot)}, steps, lane, inputs, part_bytes, half_bytes,
              sums);
      total = sums.Row();
      __syncwarp();
      if (++state.read_slot == rings.slots) {
        state.read_slot = 0;
        state.parity ^= 1;
      }
      --state.in_flight;
      if (lane == 0) AskForUnit(rings, state, jobs, warp);
    } else {
      const uint8_t* unit = UnitOf(jobs, chunks, {begin, u});
      const int planes = job.m.planes;
      for (int plane = planes - 1; plane >= 0; --plane) {
        sums.Clear();
        DotUnit(form, InMemory{unit + plane * unit_bytes}, steps, lane, inputs, part_bytes, half_bytes, sums);
        const float2 of_row = sums.Row();
        total.x = plane == planes - 1 ? of_row.x : total.x + of_row.x;
        total.y = plane == planes - 1 ? of_row.y : total.y + of_row.y;
      }
    }
    if (kFull || t < 2)
      *reinterpret_cast<float2*>(partial + (u * kUnitRows + g) * kTileTokens + 2 * t) = total;
  }
  if (lane == 0) rings.state[warp] = state;
  __syncwarp();
}

// store(job, row, token, y0, y1, beside) for the rows row (even) and row + 1 of each group and each token of
// its job, by any thread; beside(job, row, token) gives what the store reads of memory, asked for before the
// sums are made. Inputs lie in `x`, the jobs are filled and the rings started, visible to the block; behind
// this call, and a barrier, both may be replaced. A job of more than 4 tokens is alone.
template <int kParts, class Beside, class MakeBeside, class Store>
__device__ inline void Multiply(const Jobs& jobs, Rings& rings, const Inputs<kParts>& x,
                                const MakeBeside& make_beside, const Store& store) {
  const int chunks = jobs.order.chunks, pass_groups = jobs.order.pass_groups, groups = jobs.order.groups;
  const int most_tokens = jobs.most_tokens;
  int which = 0;
  for (int begin = 0; begin < groups; begin += pass_groups, which ^= 1) {
    const int items = min(pass_groups, groups - begin) * (kUnitRows / 2) * most_tokens;
    const auto with_item = [&](int i, const auto& body) {
      const int token = i % most_tokens, pair = i / most_tokens;
      const Job& job = jobs.Of(begin + pair / 4);
      if (token < job.tokens)
        body(job, jobs.GroupAt(job, begin + pair / 4) * kUnitRows + pair % 4 * 2, token, pair);
    };
    const int mine = threadIdx.x;
    Beside beside = {};
    if (mine < items)
      with_item(mine,
                [&](const Job& job, int row, int token, int) { beside = make_beside(job, row, token); });
    float* partial = x.Partials(which, chunks);
    if (most_tokens <= 4)
      SumUnits<kParts, false>(jobs, rings, begin, x, partial);
    else
      SumUnits<kParts, true>(jobs, rings, begin, x, partial);
    __syncthreads();
    for (int i = mine; i < items; i += kThreads) {
      with_item(i, [&](const Job& job, int row, int token, int pair) {
        if (i != mine) beside = make_beside(job, row, token);
        const float* from = partial + (pair / 4 * chunks * kUnitRows + pair % 4 * 2) * kTileTokens + token;
        float y0 = from[0], y1 = from[kTileTokens];
        for (int chunk = 1; chunk < chunks; ++chunk) {
          from += kUnitRows * kTileTokens;
          y0 += from[0];
          y1 += from[kTileTokens];
        }
        store(job, row, token, y0, y1, beside);
      });
    }
  }
}

}  // namespace oxidized::cuda
