// Reads by io_uring: submitted from the caller's thread, reaped by one thread that sleeps in between. The
// program runs without liburing; then this file only says that there is no such reader.
#include "experts/queued_reader.h"

#ifdef OXIDIZED_HAS_URING

#include <liburing.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "base/process.h"

namespace oxidized::internal {
namespace {

class UringReader final : public QueuedReader {
 public:
  // `ring` is initialised; taken over.
  UringReader(std::unique_ptr<ReadFiles> files, const io_uring& ring)
      : QueuedReader(std::move(files)), ring_(ring) {
    for (size_t i = 0; i < flights_.size(); ++i) idle_.push_back(&flights_[i]);
    try {
      reaper_ = StartThread([this] { Reap(); });
    } catch (...) {
      ::io_uring_queue_exit(&ring_);
      throw;
    }
  }
  ~UringReader() override {
    Stop();
    reaper_.join();
    ::io_uring_queue_exit(&ring_);
  }

  const char* name() const override { return "io_uring, direct I/O"; }

 private:
  struct Flight {
    BlockRead read;
    int64_t got = 0;
  };

  bool in_flight() const { return idle_.size() < flights_.size(); }

  // With the lock: the submission side of the ring belongs to whoever holds it, the completion side to the
  // reaper.
  void Launch() override {
    bool any = false;
    while (!idle_.empty() && !queue_.empty()) {
      Flight* flight = idle_.back();
      idle_.pop_back();
      *flight = {*queue_.Pop(), 0};
      Prepare(flight);
      any = true;
    }
    if (any) ::io_uring_submit(&ring_);
  }
  void Prepare(Flight* flight) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);  // as many entries as flights: never null
    const BlockRead& read = flight->read;
    ::io_uring_prep_read(entry, files_->at(read.file).fd, read.to + flight->got,
                         static_cast<unsigned>(read.bytes - flight->got),
                         static_cast<uint64_t>(read.offset + flight->got));
    ::io_uring_sqe_set_data(entry, flight);
  }

  void Reap() {
    NameThisThread(kReaderThreadName);
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stop_ || in_flight(); });
        if (!in_flight()) return;
      }
      io_uring_cqe* entry = nullptr;
      if (::io_uring_wait_cqe(&ring_, &entry) != 0) continue;  // interrupted
      auto* flight = static_cast<Flight*>(::io_uring_cqe_get_data(entry));
      const int result = entry->res;
      ::io_uring_cqe_seen(&ring_, entry);
      Land(flight, result);
    }
  }

  void Land(Flight* flight, int result) {
    std::unique_lock lock(mutex_);
    std::string error;
    bool again = result == -EINTR || result == -EAGAIN;
    if (result < 0 && !again) {
      error = files_->Failed(flight->read, -result);
    } else if (result >= 0) {
      flight->got += result;
      if (flight->got < flight->read.needed) {
        // Direct I/O goes on from an aligned place; only the end of the file is not one.
        again = result >= kReadAlignment;
        if (!again) error = files_->EndsEarly(flight->read);
        flight->got = flight->got / kReadAlignment * kReadAlignment;
      }
    }
    if (again) {
      Prepare(flight);
      ::io_uring_submit(&ring_);
      return;
    }
    const BlockRead read = flight->read;
    idle_.push_back(flight);
    Launch();
    lock.unlock();
    Finish(read, error);
  }

  io_uring ring_;
  std::array<Flight, kReadsInFlight> flights_;
  std::vector<Flight*> idle_;
  std::jthread reaper_;
};

// Sandboxes differ in what they refuse: setting up a ring, or only reading with it.
bool CanRead(io_uring& ring, int fd) {
  void* page = std::aligned_alloc(kReadAlignment, kReadAlignment);
  io_uring_sqe* entry = page == nullptr ? nullptr : ::io_uring_get_sqe(&ring);
  bool works = false;
  if (entry != nullptr) {
    ::io_uring_prep_read(entry, fd, page, kReadAlignment, 0);
    io_uring_cqe* done = nullptr;
    if (::io_uring_submit_and_wait(&ring, 1) == 1 && ::io_uring_peek_cqe(&ring, &done) == 0) {
      works = done->res >= 0;
      ::io_uring_cqe_seen(&ring, done);
    }
  }
  std::free(page);
  return works;
}

}  // namespace

std::unique_ptr<BlockReader> MakeUringReader(std::unique_ptr<ReadFiles>& files) {
  io_uring ring;
  if (::io_uring_queue_init(kReadsInFlight, &ring, 0) != 0) return nullptr;
  if (!CanRead(ring, files->at(0).fd)) {
    ::io_uring_queue_exit(&ring);
    return nullptr;
  }
  return std::make_unique<UringReader>(std::move(files), ring);
}

}  // namespace oxidized::internal

#else

namespace oxidized::internal {

std::unique_ptr<BlockReader> MakeUringReader(std::unique_ptr<ReadFiles>&) { return nullptr; }

}  // namespace oxidized::internal

#endif
