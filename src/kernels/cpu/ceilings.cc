#include "kernels/cpu/ceilings.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/interrupt.h"
#include "base/process.h"
#include "kernels/cpu/ceiling_loops.h"

namespace oxidized {
namespace {

using Clock = std::chrono::steady_clock;
double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

// Long enough for a pass; between two of them is where an interrupt is seen.
constexpr double kPassSeconds = 0.1;
constexpr int64_t kReadGranule = 512;  // what a reading loop takes at a time

// A tier without a row of its own reads and multiplies as every processor can.
const CeilingLoops& LoopsFor(const CpuKernels& kernels) {
  const CeilingLoops* loops = FindCeilingLoops(kernels.name);
  return loops != nullptr ? *loops : *FindCeilingLoops("scalar");
}

// Operations a second of all threads together. The time of a pass is that of the slowest thread.
double OperationsPerSecond(ThreadTeam& team, const ArithmeticLoop& loop, double seconds) {
  if (loop.run == nullptr) return 0.0;
  std::atomic<double> sink = 0.0;
  const auto pass = [&](int64_t rounds) {
    ThrowIfInterrupted();
    const auto start = Clock::now();
    team.Run([&](int, int) { sink.store(loop.run(rounds), std::memory_order_relaxed); });
    return Seconds(Clock::now() - start);
  };
  int64_t rounds = 1000;
  while (pass(rounds) < std::min(seconds / 16, kPassSeconds) && rounds < int64_t{1} << 40) rounds *= 2;
  double best = 0.0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const double per_thread = static_cast<double>(rounds) * static_cast<double>(loop.operations);
    best = std::max(best, per_thread * team.size() / pass(rounds));
  } while (Clock::now() < end);
  return best;
}

}  // namespace

int64_t BandwidthProbe::DefaultBytes() {
  int64_t wanted = int64_t{256} << 20;
#ifdef __linux__
  wanted = std::max(wanted, 4 * int64_t{sysconf(_SC_LEVEL3_CACHE_SIZE)});
#endif
  const int64_t available = AvailableMemoryBytes();
  return available > 0 ? std::min(wanted, available / 4) : wanted;
}

BandwidthProbe::BandwidthProbe(ThreadTeam& team, const CpuKernels& kernels, int64_t buffer_bytes)
    : team_(team),
      read_(LoopsFor(kernels).read),
      buffer_(
          "bandwidth probe", MemoryClass::kOther,
          static_cast<size_t>(std::max(buffer_bytes / kReadGranule, int64_t{team.size()}) * kReadGranule)) {
  AdviseHugePages(buffer_.data(), buffer_.size());
  // Each thread makes the pages that it will read, so that they lie on its own memory node.
  team_.Run([&](int worker, int workers) {
    const Share share = ShareOf(static_cast<int64_t>(buffer_.size()), kReadGranule, worker, workers);
    std::memset(buffer_.data() + share.begin, 1, static_cast<size_t>(share.end - share.begin));
  });
}

double BandwidthProbe::Measure(double seconds) {
  std::atomic<uint64_t> sink = 0;
  double best = 0.0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    ThrowIfInterrupted();
    const auto start = Clock::now();
    team_.Run([&](int worker, int workers) {
      const Share share = ShareOf(static_cast<int64_t>(buffer_.size()), kReadGranule, worker, workers);
      sink += read_(buffer_.data() + share.begin, share.end - share.begin);
    });
    best = std::max(best, static_cast<double>(buffer_.size()) / Seconds(Clock::now() - start));
  } while (Clock::now() < end);
  sink_ += sink;
  return best;
}

Ceilings MeasureArithmetic(ThreadTeam& team, const CpuKernels& kernels, double seconds) {
  const CeilingLoops& loops = LoopsFor(kernels);
  return {.f32_per_s = OperationsPerSecond(team, loops.f32, seconds),
          .bf16_per_s = OperationsPerSecond(team, loops.bf16, seconds),
          .int8_per_s = OperationsPerSecond(team, loops.int8, seconds)};
}

Ceilings MeasureCeilings(ThreadTeam& team, const CpuKernels& kernels, double seconds) {
  Ceilings ceilings = MeasureArithmetic(team, kernels, seconds);
  ceilings.read_bytes_per_s = BandwidthProbe(team, kernels).Measure(seconds);
  return ceilings;
}

bool HasCeilingLoops(const CpuKernels& kernels) { return FindCeilingLoops(kernels.name) != nullptr; }

}  // namespace oxidized
