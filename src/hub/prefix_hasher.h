// The hash of a file that is still being written: a thread reads behind the writers, as far as the bytes
// reach without a gap, so that the hash is there soon after the last byte.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "hub/listing.h"

namespace oxidized::hub {

class PrefixHasher {
 public:
  // Of `file`'s kind (its SHA-256, or git's SHA-1), reading from `fd`, which stays open as long as this
  // lives.
  PrefixHasher(int fd, const RepoFile& file);
  ~PrefixHasher();
  PrefixHasher(const PrefixHasher&) = delete;
  PrefixHasher& operator=(const PrefixHasher&) = delete;

  // Bytes [0, end) are written and stay.
  void Allow(int64_t end);
  // After Allow(size): waits for the hash. `waiting` gets the bytes hashed, several times a second, and may
  // throw to stop. Throws Error(kBadFile) when the file cannot be read back.
  std::string Finish(const std::function<void(int64_t done)>& waiting);

 private:
  void Run();

  const int fd_;
  const RepoFile file_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t allowed_ = 0, hashed_ = 0;
  bool stop_ = false;
  std::string hash_, error_;  // one of them is filled when the thread ends
  std::jthread thread_;       // last: the rest is there when it starts
};

}  // namespace oxidized::hub
