// Reads by threads that wait in pread: works everywhere.
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/process.h"
#include "experts/queued_reader.h"

namespace oxidized::internal {
namespace {

constexpr int kThreads =
    4;  // reaches 85 % of the disk speed that a deep queue does; they sleep in the kernel

class ThreadReader final : public QueuedReader {
 public:
  explicit ThreadReader(std::unique_ptr<ReadFiles> files) : QueuedReader(std::move(files)) {
    try {
      for (int i = 0; i < kThreads; ++i) threads_.push_back(StartThread([this] { Work(); }));
    } catch (...) {
      Stop();
      throw;
    }
  }
  ~ThreadReader() override { Stop(); }

  const char* name() const override {
    return files_->all_direct() ? "threads, direct I/O" : "threads, through the page cache";
  }

 private:
  void Work() {
    NameThisThread(kReaderThreadName);
    for (std::unique_lock lock(mutex_);;) {
      wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      const BlockRead read = *queue_.Pop();
      lock.unlock();
      Finish(read, ReadOne(read));
      lock.lock();
    }
  }

  std::string ReadOne(const BlockRead& read) const {
    for (int64_t got = 0; got < read.needed;) {
      const ssize_t n = ::pread(files_->at(read.file).fd, read.to + got,
                                static_cast<size_t>(read.bytes - got), static_cast<off_t>(read.offset + got));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return files_->Failed(read, errno);
      if (n == 0) return files_->EndsEarly(read);
      got += n;
      // Direct I/O goes on from an aligned place; only the end of the file is not one.
      if (got < read.needed) got = got / kReadAlignment * kReadAlignment;
      if (got < read.needed && n < kReadAlignment) return files_->EndsEarly(read);
    }
    files_->Forget(read);
    return {};
  }

  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace

std::unique_ptr<BlockReader> MakeThreadReader(std::unique_ptr<ReadFiles> files) {
  return std::make_unique<ThreadReader>(std::move(files));
}

}  // namespace oxidized::internal
