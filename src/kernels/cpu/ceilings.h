// What this machine can do at most, measured on the spot: how fast a team of threads reads memory, and how
// many operations it does in registers alone with the instructions of one tier. Every figure of a benchmark
// is held against these. Not a model of any kernel: no kernel can be faster, none need be as fast. Called by
// the benchmarks and by whoever predicts speed before loading a model.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "kernels/cpu/cpu_kernels.h"
#include "parallel/thread_team.h"

namespace oxidized {

// Reads one buffer, far larger than the caches, again and again: each thread its own part, front to back, as
// products read their weights.
class BandwidthProbe {
 public:
  // Bytes of the buffer: four times the last cache, at least 256 MiB, at most a quarter of the free memory.
  static int64_t DefaultBytes();

  // Keeps references to `team` and `kernels` (whose widest loads are used). Throws Error(kNoMemory).
  BandwidthProbe(ThreadTeam& team, const CpuKernels& kernels, int64_t buffer_bytes = DefaultBytes());

  // Bytes a second of the fastest pass within about `seconds`; at least one pass is made. Throws Interrupted.
  double Measure(double seconds);

 private:
  ThreadTeam& team_;
  uint64_t (*read_)(const std::byte* from, int64_t bytes);
  AlignedBuffer<std::byte> buffer_;
  uint64_t sink_ = 0;  // what was read, so that no read can be left out
};

// Operations a second of the whole team; a multiply-add counts as two. 0: the tier has no such instruction.
struct Ceilings {
  double read_bytes_per_s = 0.0;
  double f32_per_s = 0.0;   // multiply-adds of f32 (fused where the tier fuses)
  double bf16_per_s = 0.0;  // bf16 pairs into f32
  double int8_per_s = 0.0;  // int8 products into int32
};

// The same figures without memory: about `seconds` for each instruction, of which the fastest part counts.
// Throws Interrupted.
Ceilings MeasureArithmetic(ThreadTeam& team, const CpuKernels& kernels, double seconds);
// All of them.
Ceilings MeasureCeilings(ThreadTeam& team, const CpuKernels& kernels, double seconds = 0.3);

// Whether the tier's own loops are known here; a new tier needs a row in ceilings.cc.
bool HasCeilingLoops(const CpuKernels& kernels);

}  // namespace oxidized
