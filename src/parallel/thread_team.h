// A fixed team of threads for hundreds of microsecond-sized parallel regions a token: the caller is worker 0,
// the others wait between regions, first spinning, then parked in the kernel. Work is divided into as many
// shares as there are workers (Run) or into items that whoever is free takes (ForEach). The division never
// depends on timing, so results do not; who does what may: a share that its worker has not begun when the
// caller is free is run by the caller. No queues, no allocation in either.
//
// On a busy machine a worker may be off its processor in the middle of a share, and nobody can take that
// over. The caller measures such waits. Where they eat up what the helpers gain, it works alone for a while:
// docs/performance.md, "Threads on a busy machine".
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace oxidized {

// When the caller of a team had better work alone, decided from how long it waits for its helpers.
class HelpersWorth {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit HelpersWorth(int workers) : workers_(workers) {}

  // The caller had to wait from `from` to `to`.
  void Waited(Time from, Time to);
  bool alone() const { return alone_; }
  // While alone: ends it when its time is over.
  void Now(Time now);

 private:
  const int workers_;
  bool alone_ = false;
  Time since_ = Time::min();  // begin of the window in which waits are added up; alone: its end
  Time::duration waited_ = {};
};

class ThreadTeam {
 public:
  // num_threads >= 1, the caller included. More threads than processors are allowed: then nobody spins.
  // Throws Error(kNoMemory) where the system does not allow so many.
  explicit ThreadTeam(int num_threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return size_; }

  // Calls body(item, share) once for each item below `count`: whoever is free takes the next, so that a
  // thread on a slower or busier processor does fewer. For items that may be done in any order, of a size
  // that makes taking one cheap (tens of microseconds); what a share may and throws as Run says.
  template <typename Body>
  void ForEach(int64_t count, Body&& body) {
    next_item_.store(0, std::memory_order_relaxed);
    Run([&](int share, int) {
      for (int64_t item; (item = next_item_.fetch_add(1, std::memory_order_relaxed)) < count;)
        body(item, share);
    });
  }

  // Calls body(share, shares) once for each of size() shares and returns when all are done. Shares may run at
  // the same time, or one after the other on one thread: none may wait for another. The first exception
  // thrown is rethrown here, after all shares have ended. One caller at a time; not from inside a region.
  template <typename Body>
  void Run(Body&& body) {
    if (size_ == 1) {
      body(0, 1);
      return;
    }
    using B = std::remove_reference_t<Body>;
    RunErased([](void* context, int share, int shares) { (*static_cast<B*>(context))(share, shares); },
              const_cast<void*>(static_cast<const void*>(std::addressof(body))));
  }

 private:
  using Function = void (*)(void* context, int share, int shares);

  // Of a share in region r: 2r - 1 (the end of the region before) until somebody takes it, 2r while it runs,
  // 2r + 1 when done. On a cache line of its own: its worker writes it while the caller polls the others.
  struct alignas(64) Ticket {
    std::atomic<uint32_t> state = 1;
  };

  void RunErased(Function function, void* context);
  void Stop();  // ends the helpers, who wait for work
  void WorkerLoop(int worker);
  // Runs the share unless somebody else has taken it.
  void Take(int share, uint32_t region);
  void Execute(int share);
  void AwaitEnd(const std::atomic<uint32_t>& state, uint32_t region);

  const int size_;
  const int spin_rounds_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  std::atomic<bool> stop_ = false;  // a helper that starts late may look while it is set
  std::exception_ptr exception_;
  std::atomic<bool> failed_ = false;
  HelpersWorth worth_;

  alignas(64) std::atomic<uint32_t> region_ = 0;  // counts regions that helpers take part in
  alignas(64) std::atomic<int64_t> next_item_ = 0;
  alignas(64) std::atomic<int> parked_ = 0;  // helpers that may sleep until region_ changes
  std::atomic<bool> caller_parked_ = false;  // the caller may sleep until a share ends
  std::vector<Ticket> tickets_;
  std::vector<std::jthread> helpers_;
};

// [begin, end) of a share of `count` items, cut at multiples of `granule`; shares differ by at most one
// granule.
struct Share {
  int64_t begin;
  int64_t end;
};
inline Share ShareOf(int64_t count, int64_t granule, int share, int shares) {
  const int64_t units = (count + granule - 1) / granule;
  const auto cut = [&](int64_t w) {
    const int64_t at = units * w / shares * granule;
    return at < count ? at : count;
  };
  return {cut(share), cut(share + 1)};
}

}  // namespace oxidized
