#include "experts/queued_reader.h"

namespace oxidized::internal {

void QueuedReader::OnDone(Done done) {
  std::lock_guard lock(mutex_);
  done_ = std::move(done);
}

void QueuedReader::Submit(std::span<const BlockRead> reads, bool urgent) {
  {
    std::lock_guard lock(mutex_);
    for (const BlockRead& read : reads) queue_.Push(read, urgent);
    Launch();
  }
  wake_.notify_all();
}

void QueuedReader::Promote(uint64_t tag) {
  std::lock_guard lock(mutex_);
  queue_.Promote(tag);
}

int QueuedReader::Cancel(uint64_t tag) {
  std::lock_guard lock(mutex_);
  return queue_.Cancel(tag);
}

void QueuedReader::Stop() {
  {
    std::lock_guard lock(mutex_);
    queue_.Clear();
    stop_ = true;
  }
  wake_.notify_all();
}

}  // namespace oxidized::internal
