// The end of a step on the CPU: which rows want logits, the unembedding of those alone (a bounded number of
// rows at a time), sinks and taps served; then, once all masks are known, the sampler. Each called once a
// step by cpu_executor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "executor/cpu/cpu_products.h"
#include "executor/cpu/stage_clock.h"
#include "executor/slots.h"
#include "executor/step_batch.h"
#include "model/packed_dense.h"
#include "model/weights.h"
#include "parallel/thread_team.h"

namespace oxidized {

class CpuLogits {
 public:
  // Makes at most `rows_at_once` rows [V] of logits in one pass over the weights. Keeps references to
  // all but numbers.
  CpuLogits(const MatrixView& unembedding, const PackedDense& packed, const CpuKernels& kernels, XType x_type,
            int64_t rows_at_once, ThreadTeam& team);

  // x [T, M] is the final norm in the products' format.
  void Unembed(const StepBatch& batch, const void* x, StageClock& clock);
  // Of the same batch: `samples` becomes what it asks for. `late`: see Slots::Sample.
  void Sample(const StepBatch& batch, std::span<const TokenMask* const> late, Slots& slots, StageClock& clock,
              std::vector<SampledToken>& samples);

 private:
  void FindWantedRows(const StepBatch& batch);
  void UnembedRows(const void* x, std::span<const int32_t> rows);
  bool IsSampled(int32_t t) const;
  std::span<const float> LogitsOfSample(size_t i) const;

  const MatrixView& unembedding_;
  const PackedDense& packed_;
  const CpuKernels& kernels_;
  const XType x_type_;
  const int64_t rows_at_once_;
  ThreadTeam& team_;
  AlignedBuffer<float> logits_;                          // [rows_at_once, V]
  std::vector<int32_t> wanted_, sampled_, sampled_row_;  // rows of the batch; the last one of each sample
  std::vector<float> kept_;  // logits [sampled, V] when they come from several passes
};

}  // namespace oxidized
