// What both ways of reading share: the files, and under one lock the queue of reads that have not begun.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "experts/read_files.h"

namespace oxidized::internal {

// Of the threads that read: what they cost those that compute is not somebody else's doing
// (bench/run_watch.h).
inline constexpr char kReaderThreadName[] = "expert-reader";

class QueuedReader : public BlockReader {
 public:
  void OnDone(Done done) final;
  void Submit(std::span<const BlockRead> reads, bool urgent) final;
  void Promote(uint64_t tag) final;
  int Cancel(uint64_t tag) final;

 protected:
  explicit QueuedReader(std::unique_ptr<ReadFiles> files) : files_(std::move(files)) {}

  // With the lock held, after reads came to the queue.
  virtual void Launch() {}
  // Drops what has not begun and wakes the threads to end; the destructor of a subclass begins with it.
  void Stop();
  // Without the lock.
  void Finish(const BlockRead& read, const std::string& error) const { done_(read, error); }

  const std::unique_ptr<ReadFiles> files_;
  std::mutex mutex_;
  std::condition_variable wake_;
  ReadQueue queue_;
  bool stop_ = false;

 private:
  Done done_;  // set before the first read
};

}  // namespace oxidized::internal
