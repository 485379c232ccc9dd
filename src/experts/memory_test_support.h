// For the tests of this folder: a small random checkpoint on disk, and a reader of made-up content that
// delays, reorders and fails on demand. Header only, not part of the product.
#pragma once

#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "checkpoint/checkpoint.h"
#include "experts/block_reader.h"

namespace oxidized::test {

// Serves reads of a checkpoint's mapping from one thread, in random order, a moment each.
class FakeReader final : public BlockReader {
 public:
  struct Plan {
    std::chrono::microseconds delay{0};
    uint32_t seed = 1;
    std::set<int64_t> failing_reads = {};  // by number, from 0
  };
  FakeReader(const Checkpoint& checkpoint, Plan plan)
      : checkpoint_(checkpoint), plan_(std::move(plan)), random_(plan_.seed), thread_([this] { Work(); }) {}
  ~FakeReader() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      queue_.clear();
    }
    wake_.notify_one();
    thread_.join();
  }

  const char* name() const override { return "fake"; }
  void OnDone(Done done) override {
    std::lock_guard lock(mutex_);
    done_ = std::move(done);
  }
  void Submit(std::span<const BlockRead> reads, bool urgent) override {
    std::lock_guard lock(mutex_);
    for (const BlockRead& read : reads) queue_.push_back({read, urgent});
    wake_.notify_one();
  }
  void Promote(uint64_t tag) override {
    std::lock_guard lock(mutex_);
    for (auto& [read, urgent] : queue_) urgent = urgent || read.tag == tag;
  }
  int Cancel(uint64_t tag) override {
    std::lock_guard lock(mutex_);
    const auto dropped =
        static_cast<int>(std::erase_if(queue_, [tag](const auto& entry) { return entry.first.tag == tag; }));
    cancelled_ += dropped;
    return dropped;
  }
  int64_t served() const {
    std::lock_guard lock(mutex_);
    return served_;
  }
  int64_t cancelled() const {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }
  // Nothing is served while held.
  void Hold(bool hold) {
    std::lock_guard lock(mutex_);
    hold_ = hold;
    wake_.notify_one();
  }

 private:
  void Work() {
    for (std::unique_lock lock(mutex_);;) {
      wake_.wait(lock, [this] { return stop_ || (!queue_.empty() && !hold_); });
      if (stop_) return;
      const size_t at = random_() % queue_.size();
      const BlockRead read = queue_[at].first;
      queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(at));
      const bool fails = plan_.failing_reads.contains(served_++);
      lock.unlock();
      if (plan_.delay.count() > 0) std::this_thread::sleep_for(plan_.delay);
      const auto bytes = checkpoint_.files[static_cast<size_t>(read.file)].bytes();
      if (!fails) std::memcpy(read.to, bytes.data() + read.offset, static_cast<size_t>(read.needed));
      done_(read, fails ? "a planted read error" : "");
      lock.lock();
    }
  }

  const Checkpoint& checkpoint_;
  const Plan plan_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<BlockRead, bool>> queue_;
  Done done_;
  bool stop_ = false, hold_ = false;
  int64_t served_ = 0, cancelled_ = 0;
  std::mt19937 random_;
  std::thread thread_;
};

}  // namespace oxidized::test
