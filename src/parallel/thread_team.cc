#include "parallel/thread_team.h"

#include <algorithm>

#include "base/error.h"
#include "base/process.h"
#include "parallel/cpu_topology.h"
#include "parallel/parking.h"

namespace oxidized {
namespace {

using internal::Park, internal::WakeAll;
using Clock = std::chrono::steady_clock;

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

// True once `word` is no longer `old_value`.
bool Poll(const std::atomic<uint32_t>& word, uint32_t old_value, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    if (word.load(std::memory_order_acquire) != old_value) return true;
    Relax();
  }
  return word.load(std::memory_order_acquire) != old_value;
}

// Waits are judged over no longer than this: good times do not excuse bad ones.
constexpr auto kWindow = std::chrono::milliseconds(50);
// Alone for so many times the time lost, which bounds the loss to a fifth however bad the waits.
constexpr int kPayback = 4;
constexpr auto kMostAlone = std::chrono::milliseconds(100);

}  // namespace

void HelpersWorth::Waited(Time from, Time to) {
  if (from - kWindow > since_) {  // forget half
    since_ = from - kWindow / 2;
    waited_ /= 2;
  }
  waited_ += to - from;
  // N workers that wait for a part p of the time are worth N (1 - p) of one: more than one while p < 1 - 1/N.
  // Their speed is less than N times one's anyway, so two thirds of that.
  if (waited_ * 3 * workers_ <= (to - since_) * 2 * (workers_ - 1)) return;
  alone_ = true;
  since_ = to + std::min<Time::duration>(waited_ * kPayback, kMostAlone);
  waited_ = {};
}

void HelpersWorth::Now(Time now) { alone_ = now < since_; }

ThreadTeam::ThreadTeam(int num_threads)
    : size_(num_threads),
      spin_rounds_(num_threads <= DetectCpuTopology().UsableCpus() ? kSpinRounds : 0),
      worth_(num_threads),
      tickets_(static_cast<size_t>(num_threads)) {
  OX_CHECK(num_threads >= 1);
  helpers_.reserve(static_cast<size_t>(size_ - 1));
  try {
    for (int worker = 1; worker < size_; ++worker)
      helpers_.push_back(StartThread([this, worker] { WorkerLoop(worker); }));
  } catch (...) {
    Stop();
    throw;
  }
}

ThreadTeam::~ThreadTeam() { Stop(); }

void ThreadTeam::Stop() {
  stop_ = true;
  region_.fetch_add(1);
  WakeAll(region_);
}

void ThreadTeam::WorkerLoop(int worker) {
  uint32_t seen = 0;
  for (;;) {
    if (!Poll(region_, seen, spin_rounds_)) {
      ++parked_;  // before the kernel compares region_, after which the caller looks here
      while (region_.load() == seen) Park(region_, seen);
    }
    seen = region_.load();
    if (stop_) return;
    Take(worker, seen);
  }
}

void ThreadTeam::Take(int share, uint32_t region) {
  std::atomic<uint32_t>& state = tickets_[static_cast<size_t>(share)].state;
  uint32_t free = 2 * region - 1;
  if (!state.compare_exchange_strong(free, 2 * region, std::memory_order_acq_rel)) return;
  Execute(share);
  state.store(2 * region + 1);
  if (caller_parked_) WakeAll(state);
}

void ThreadTeam::Execute(int share) {
  try {
    function_(context_, share, size_);
  } catch (...) {
    if (!failed_.exchange(true)) exception_ = std::current_exception();
  }
}

void ThreadTeam::RunErased(Function function, void* context) {
  function_ = function;
  context_ = context;
  if (worth_.alone()) worth_.Now(Clock::now());
  if (worth_.alone()) {
    for (int share = 0; share < size_; ++share) Execute(share);
  } else {
    const uint32_t region = region_.fetch_add(1) + 1;
    if (parked_ > 0 && parked_.exchange(0) > 0) WakeAll(region_);
    for (int share = 0; share < size_; ++share) Take(share, region);
    for (const Ticket& ticket : tickets_) AwaitEnd(ticket.state, region);
  }
  if (failed_.load() && failed_.exchange(false)) std::rethrow_exception(std::exchange(exception_, nullptr));
}

void ThreadTeam::AwaitEnd(const std::atomic<uint32_t>& state, uint32_t region) {
  if (Poll(state, 2 * region, spin_rounds_)) return;
  const Clock::time_point from = Clock::now();
  caller_parked_ = true;
  while (state.load() == 2 * region) Park(state, 2 * region);
  caller_parked_ = false;
  worth_.Waited(from, Clock::now());
}

}  // namespace oxidized
