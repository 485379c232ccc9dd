// A fixed team of threads for hundreds of microsecond-sized parallel regions a token: the caller is worker 0,
// the others wait between regions, first spinning, then parked in the kernel. Work is divided statically, by
// worker number, so that results never depend on timing. No tasks, no queues, no allocation in Run.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace oxidized {

class ThreadTeam {
 public:
  // num_threads >= 1, the caller included. More threads than processors are allowed: then nobody spins for
  // long.
  explicit ThreadTeam(int num_threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return size_; }

  // Calls body(worker, num_workers) once on each worker and returns when all are done. The first exception
  // thrown is rethrown here, after every worker has left the region. One caller at a time; not from inside a
  // region.
  template <typename Body>
  void Run(Body&& body) {
    if (size_ == 1) {
      body(0, 1);
      return;
    }
    using B = std::remove_reference_t<Body>;
    RunErased([](void* context, int worker, int workers) { (*static_cast<B*>(context))(worker, workers); },
              const_cast<void*>(static_cast<const void*>(std::addressof(body))));
  }

  // Inside a region: returns when every worker of the region has called it. All must call it equally often.
  // When a worker has thrown, the others leave the region here.
  void Barrier();

 private:
  using Function = void (*)(void* context, int worker, int workers);
  struct RegionAborted {};

  void RunErased(Function function, void* context);
  void WorkerLoop(int worker);
  void Execute(int worker);
  void AwaitChange(const std::atomic<uint32_t>& word, uint32_t old_value) const;

  const int size_;
  const int spin_rounds_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  bool stop_ = false;
  std::exception_ptr exception_;
  std::atomic<bool> failed_ = false;

  // Each on its own cache line: they are written by different workers while others poll their neighbours.
  alignas(64) std::atomic<uint32_t> region_ = 0;    // counts regions started
  alignas(64) std::atomic<uint32_t> finished_ = 0;  // counts regions that all helpers have left
  alignas(64) std::atomic<int> running_ = 0;        // helpers still in the region
  alignas(64) std::atomic<int> arrived_ = 0;        // workers at the barrier
  alignas(64) std::atomic<uint32_t> phase_ = 0;     // counts barriers completed
  std::vector<std::jthread> helpers_;
};

// [begin, end) of worker's share of `count` items, cut at multiples of `granule`; shares differ by at most
// one granule.
struct Share {
  int64_t begin;
  int64_t end;
};
inline Share ShareOf(int64_t count, int64_t granule, int worker, int workers) {
  const int64_t units = (count + granule - 1) / granule;
  const auto cut = [&](int64_t w) {
    const int64_t at = units * w / workers * granule;
    return at < count ? at : count;
  };
  return {cut(worker), cut(worker + 1)};
}

}  // namespace oxidized
