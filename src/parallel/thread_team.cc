#include "parallel/thread_team.h"

#include "base/error.h"
#include "parallel/cpu_topology.h"

namespace oxidized {
namespace {

inline void Relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// About 50 us of polling when every thread has a processor to itself: longer than any gap between two regions
// of a step, far shorter than a park and wake. With fewer processors than threads a spinner would hold up the
// one it waits for.
constexpr int kSpinRounds = 2000;

}  // namespace

ThreadTeam::ThreadTeam(int num_threads)
    : size_(num_threads), spin_rounds_(num_threads <= DetectCpuTopology().UsableCpus() ? kSpinRounds : 0) {
  OX_CHECK(num_threads >= 1);
  helpers_.reserve(static_cast<size_t>(size_ - 1));
  for (int worker = 1; worker < size_; ++worker) {
    helpers_.emplace_back([this, worker] { WorkerLoop(worker); });
  }
}

ThreadTeam::~ThreadTeam() {
  stop_ = true;
  region_.fetch_add(1, std::memory_order_release);
  region_.notify_all();
}

void ThreadTeam::AwaitChange(const std::atomic<uint32_t>& word, uint32_t old_value) const {
  for (int round = 0; round < spin_rounds_; ++round) {
    if (word.load(std::memory_order_acquire) != old_value) return;
    Relax();
  }
  while (word.load(std::memory_order_acquire) == old_value) word.wait(old_value, std::memory_order_acquire);
}

void ThreadTeam::WorkerLoop(int worker) {
  uint32_t seen = 0;
  for (;;) {
    AwaitChange(region_, seen);
    ++seen;
    if (stop_) return;
    Execute(worker);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      finished_.fetch_add(1, std::memory_order_release);
      finished_.notify_one();
    }
  }
}

void ThreadTeam::Execute(int worker) {
  try {
    function_(context_, worker, size_);
  } catch (const RegionAborted&) {
    // Another worker's exception is on its way.
  } catch (...) {
    if (!failed_.exchange(true)) exception_ = std::current_exception();
    phase_.fetch_add(1);  // frees whoever waits at a barrier that will never fill
    phase_.notify_all();
  }
}

void ThreadTeam::RunErased(Function function, void* context) {
  function_ = function;
  context_ = context;
  const uint32_t finished = finished_.load(std::memory_order_relaxed);
  running_.store(size_ - 1, std::memory_order_relaxed);
  region_.fetch_add(1, std::memory_order_release);
  region_.notify_all();
  Execute(0);
  AwaitChange(finished_, finished);
  if (failed_.load()) {
    failed_.store(false);
    arrived_.store(0);
    std::rethrow_exception(std::exchange(exception_, nullptr));
  }
}

void ThreadTeam::Barrier() {
  if (size_ == 1) return;
  const uint32_t phase = phase_.load();
  if (failed_.load()) throw RegionAborted{};
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1);
    phase_.notify_all();
    return;
  }
  AwaitChange(phase_, phase);
  if (failed_.load()) throw RegionAborted{};
}

}  // namespace oxidized
