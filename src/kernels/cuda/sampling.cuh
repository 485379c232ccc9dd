// One row of logits to one token by one block, as sampling/sampling_math.h defines it: the same token as
// Sampler's for the same logits. Cuts (top-k, top-p) are ranks: a first pass finds how deep below the highest
// value the cut lies, the tokens above that are collected, the cut is found among them digit by digit. Masses
// are integers, so no sum depends on its order.
#pragma once

#include "kernels/cuda/block.cuh"
#include "kernels/cuda/step_args.h"

namespace oxidized::cuda {

struct SamplerMemory {
  uint64_t of_warp[kWarps];
  uint64_t bins[256];
  uint64_t chosen;  // what one thread found for all
  int32_t count;
};

struct LogitsRow {
  const float* values;
  int size;
  float highest;
  float inverse_temperature;

  __device__ float WeightAt(int i) const {
    return sampling_math::Weight(values[i], highest, inverse_temperature);
  }
  __device__ uint64_t MassAt(int i) const { return sampling_math::Mass(WeightAt(i)); }
};

inline constexpr float kMaskedLogit = -INFINITY;
// The lowest rank of a token that is not masked.
__device__ inline uint64_t LowestRank() {
  const uint32_t order =
      static_cast<uint32_t>(sampling_math::ValueOrder(kMaskedLogit) + 1) ^ sampling_math::kSign;
  return uint64_t{order} << 32;
}
// By all threads of a block, over the values [begin, end) of a row.
__device__ inline RowPeak PeakOf(const float* values, int begin, int end, uint64_t* of_warp) {
  uint64_t best = 0;
  uint32_t magnitude = 0;
#pragma unroll 4
  for (int i = begin + threadIdx.x; i < end; i += kThreads) {
    const float value = values[i];
    const uint64_t rank = sampling_math::TokenRank(value, i);
    best = rank > best ? rank : best;
    magnitude = max(magnitude, sampling_math::Bits(value) & ~sampling_math::kSign);
  }
  return {BlockMax(best, of_warp), BlockMax(uint64_t{magnitude}, of_warp)};
}

// The tokens from which a cut may be chosen, as ranks.
struct Candidates {
  uint64_t* ranks;
  int count;
};

__device__ inline uint64_t CandidateMass(const LogitsRow& row, uint64_t rank) {
  return row.MassAt(sampling_math::TokenOfRank(rank));
}

// How much of the row lies at each depth below the highest value: depth d holds what is within 2^d / 4 units
// of temperature; the last one everything that is not masked. By mass, or by number of tokens.
inline constexpr int kDepths = 8;
__device__ inline float DepthBound(const LogitsRow& row, int depth) {
  return depth == kDepths - 1
             ? kMaskedLogit
             : row.highest - static_cast<float>(1 << depth) * 0.25f / row.inverse_temperature;
}

struct Depths {
  uint64_t within[kDepths];
};
template <bool kMass>
__device__ inline Depths MeasureDepths(const LogitsRow& row, SamplerMemory& memory) {
  Depths depths = {};
  float bounds[kDepths];
#pragma unroll
  for (int d = 0; d < kDepths; ++d) bounds[d] = DepthBound(row, d);
#pragma unroll 8
  for (int i = threadIdx.x; i < row.size; i += kThreads) {
    const float value = row.values[i];
    if (value == kMaskedLogit) continue;
    const uint64_t part = kMass ? row.MassAt(i) : 1;
#pragma unroll
    for (int d = 0; d < kDepths; ++d) {
      if (d == kDepths - 1 || value >= bounds[d]) depths.within[d] += part;
    }
  }
  for (int d = 0; d < kDepths; ++d) depths.within[d] = BlockSum(depths.within[d], memory.of_warp);
  return depths;
}

// Everything down to the first depth that holds `target`.
__device__ inline Candidates Collect(const LogitsRow& row, const Depths& depths, uint64_t target,
                                     uint64_t* ranks, SamplerMemory& memory) {
  int depth = 0;
  while (depth < kDepths - 1 && depths.within[depth] < target) ++depth;
  const float bound = DepthBound(row, depth);
  if (threadIdx.x == 0) memory.count = 0;
  __syncthreads();
#pragma unroll 8
  for (int i = threadIdx.x; i < row.size; i += kThreads) {
    const float value = row.values[i];
    if (value != kMaskedLogit && (depth == kDepths - 1 || value >= bound))
      ranks[atomicAdd(&memory.count, 1)] = sampling_math::TokenRank(value, i);
  }
  __syncthreads();
  return {ranks, memory.count};
}

// The highest rank r for which the candidates from r on (and from `bound` on) measure `target`; `bound` if
// all of them measure less.
template <bool kMass>
__device__ inline uint64_t CutAt(const LogitsRow& row, const Candidates& of, uint64_t bound, uint64_t target,
                                 SamplerMemory& memory) {
  uint64_t sum = 0;
  for (int i = threadIdx.x; i < of.count; i += kThreads) {
    if (of.ranks[i] >= bound) sum += kMass ? CandidateMass(row, of.ranks[i]) : 1;
  }
  if (BlockSum(sum, memory.of_warp) < target) return bound;
  uint64_t prefix = 0, missing = target;  // digits found so far
  for (int shift = 56; shift >= 0; shift -= 8) {
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += kThreads) memory.bins[i] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < of.count; i += kThreads) {
      const uint64_t rank = of.ranks[i];
      const bool same = shift == 56 || (rank >> (shift + 8)) == (prefix >> (shift + 8));
      if (same && rank >= bound)
        atomicAdd(reinterpret_cast<unsigned long long*>(memory.bins) + (rank >> shift & 255),
                  static_cast<unsigned long long>(kMass ? CandidateMass(row, rank) : 1));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int digit = 255;
      uint64_t above = 0;
      while (digit > 0 && above + memory.bins[digit] < missing) above += memory.bins[digit--];
      memory.chosen = static_cast<uint64_t>(digit);
      memory.of_warp[0] = above;
    }
    __syncthreads();
    prefix |= memory.chosen << shift;
    missing -= memory.of_warp[0];
  }
  __syncthreads();
  return prefix;
}

// The token that holds the point: kept ones (from `bound` on, of weight min_p at least) side by side in the
// order of their ids.
__device__ inline int DrawKept(const LogitsRow& row, uint64_t bound, float min_p, uint64_t seed,
                               int64_t position, SamplerMemory& memory) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int each = (row.size + kWarps - 1) / kWarps, begin = warp * each, end = min(row.size, begin + each);
  const auto mass_at = [&](int i) -> uint64_t {
    if (i >= end || sampling_math::TokenRank(row.values[i], i) < bound) return 0;
    const float weight = row.WeightAt(i);
    return weight >= min_p ? sampling_math::Mass(weight) : 0;
  };
  uint64_t mine = 0;
#pragma unroll 8
  for (int i = begin + lane; i < end; i += 32) mine += mass_at(i);
  mine = WarpSum(mine);
  __syncthreads();
  if (lane == 0) memory.of_warp[warp] = mine;
  __syncthreads();
  uint64_t before = 0, all = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) before += memory.of_warp[w];
    all += memory.of_warp[w];
  }
  const uint64_t point = sampling_math::DrawPoint(seed, position, all);
  if (point >= before && point < before + mine) {  // this warp's
    for (int from = begin; from < end; from += 32) {
      const uint64_t mass = mass_at(from + lane);
      uint64_t through = mass;
#pragma unroll
      for (int step = 1; step < 32; step <<= 1) {
        const uint64_t other = __shfl_up_sync(~0u, through, step);
        if (lane >= step) through += other;
      }
      if (point < before + through && point >= before + through - mass)
        memory.chosen = static_cast<uint64_t>(from + lane);
      before += __shfl_sync(~0u, through, 31);
      if (before > point) break;
    }
  }
  __syncthreads();
  return static_cast<int>(memory.chosen);
}

__device__ inline int Draw(const LogitsRow& row, const SamplingNumbers& numbers, int64_t position,
                           uint64_t* ranks, SamplerMemory& memory) {
  constexpr uint64_t kWhole = uint64_t{1} << 32;
  const bool top_k = numbers.top_k > 0 && numbers.top_k < row.size, top_p = numbers.top_p < kWhole;
  uint64_t bound = LowestRank();
  if (top_k) {
    const auto k = static_cast<uint64_t>(numbers.top_k);
    const Candidates of = Collect(row, MeasureDepths<false>(row, memory), k, ranks, memory);
    bound = CutAt<false>(row, of, bound, k, memory);
    if (top_p) {
      uint64_t mass = 0;
      for (int i = threadIdx.x; i < of.count; i += kThreads) {
        if (of.ranks[i] >= bound) mass += CandidateMass(row, of.ranks[i]);
      }
      mass = BlockSum(mass, memory.of_warp);
      bound = CutAt<true>(row, of, bound, sampling_math::TopPTarget(mass, numbers.top_p), memory);
    }
  } else if (top_p) {
    const Depths depths = MeasureDepths<true>(row, memory);
    const uint64_t target = sampling_math::TopPTarget(depths.within[kDepths - 1], numbers.top_p);
    bound = CutAt<true>(row, Collect(row, depths, target, ranks, memory), bound, target, memory);
  }
  return DrawKept(row, bound, numbers.min_p, numbers.seed, position, memory);
}

__device__ inline bool Changes(const SampleArgs& sample) {
  return sample.numbers.penalties || sample.mask_ids >= 0;
}

// The ids [begin, end) of the logits with penalties, -infinity where masked; the highest of them.
__device__ inline RowPeak ChangeLogits(const StepArgs& a, const SampleArgs& sample, int index, int v,
                                       int begin, int end, uint64_t* of_warp) {
  const int32_t* counts = a.counts + int64_t{sample.slot} * v;
  const float* logits = a.logits + int64_t{sample.logits_row} * v;
  float* changed = a.changed + int64_t{index} * v;
  for (int i = begin + static_cast<int>(threadIdx.x); i < end; i += kThreads) {
    float value = logits[i];
    if (sample.numbers.penalties) value = sampling_math::Penalized(value, counts[i], sample.numbers);
    if (sample.mask_ids >= 0 &&
        (i >= sample.mask_ids || (a.masks[sample.mask_at + i / 64] >> (i % 64) & 1) == 0))
      value = kMaskedLogit;
    changed[i] = value;
  }
  __syncthreads();
  return PeakOf(changed, begin, end, of_warp);
}

// The highest of what the blocks found in their parts.
__device__ inline RowPeak PeakOfParts(const RowPeak* parts, int n, uint64_t* of_warp) {
  RowPeak peak = {0, 0};
  for (int i = threadIdx.x; i < n; i += kThreads) {
    const RowPeak part = parts[i];
    peak.rank = part.rank > peak.rank ? part.rank : peak.rank;
    peak.magnitude = part.magnitude > peak.magnitude ? part.magnitude : peak.magnitude;
  }
  return {BlockMax(peak.rank, of_warp), BlockMax(peak.magnitude, of_warp)};
}

__device__ inline void SampleRow(const ModelArgs& m, const StepArgs& a, int index, int blocks) {
  __shared__ SamplerMemory memory;
  const SampleArgs& sample = a.sample[index];
  const float* logits = a.logits + int64_t{sample.logits_row} * m.v;
  uint64_t* ranks = a.candidates + int64_t{index} * m.v;
  const bool first = threadIdx.x == 0;
  SampleResult result = {-1, 1, 0, 0, 0.0f, 0.0f};

  const RowPeak peak = PeakOfParts(a.peaks + int64_t{sample.logits_row} * blocks, blocks, memory.of_warp);
  result.finite = peak.magnitude < sampling_math::kInfinity;
  if (!result.finite) {
    if (first) a.results[index] = result;
    return;
  }
  const uint64_t raw_best = peak.rank;
  const float raw_highest = logits[sampling_math::TokenOfRank(raw_best)];
  LogitsRow row{logits, m.v, raw_highest, sample.numbers.inverse_temperature};
  uint64_t best = raw_best;
  if (Changes(sample)) {
    const float* changed = a.changed + int64_t{index} * m.v;
    best = PeakOfParts(a.changed_peaks + int64_t{index} * blocks, blocks, memory.of_warp).rank;
    row.values = changed;
    row.highest = changed[sampling_math::TokenOfRank(best)];
    result.empty_mask = row.highest == kMaskedLogit;
    if (result.empty_mask) {
      if (first) a.results[index] = result;
      return;
    }
  }
  result.token = sample.numbers.greedy ? sampling_math::TokenOfRank(best)
                                       : Draw(row, sample.numbers, sample.position, ranks, memory);

  if (sample.top >= 0 || sample.score >= 0) {
    const LogitsRow raw{logits, m.v, raw_highest, 1.0f};
    uint64_t mass = 0;
#pragma unroll 8
    for (int i = threadIdx.x; i < m.v; i += kThreads) mass += raw.MassAt(i);
    const float log_of_mass = sampling_math::LogOfMass(BlockSum(mass, memory.of_warp));
    const auto logprob = [&](int token) {
      return sampling_math::LogProbability(logits[token], raw_highest, log_of_mass);
    };
    result.logprob = logprob(result.token);
    if (sample.score >= 0) result.score = logprob(sample.score);
    if (sample.top > 0) {
      result.top_count = min(sample.top, m.v);
      const auto k = static_cast<uint64_t>(result.top_count);
      const Candidates of = Collect(raw, MeasureDepths<false>(raw, memory), k, ranks, memory);
      const uint64_t cut = CutAt<false>(raw, of, LowestRank(), k, memory);
      if (first) memory.count = 0;
      __syncthreads();
      for (int i = threadIdx.x; i < of.count; i += kThreads) {
        if (of.ranks[i] < cut) continue;
        const int64_t at = sample.top_at + atomicAdd(&memory.count, 1);
        a.top_ranks[at] = of.ranks[i];
        a.top_logprobs[at] = logprob(sampling_math::TokenOfRank(of.ranks[i]));
      }
    }
  }
  if (first) a.results[index] = result;
  __syncthreads();
}

}  // namespace oxidized::cuda
