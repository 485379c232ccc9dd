#include "hub/prefix_hasher.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/process.h"
#include "base/sha256.h"
#include "hub/text.h"

namespace oxidized::hub {

PrefixHasher::PrefixHasher(int fd, const RepoFile& file)
    : fd_(fd), file_(file), thread_(StartThread([this] { Run(); })) {}

PrefixHasher::~PrefixHasher() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void PrefixHasher::Allow(int64_t end) {
  {
    const std::scoped_lock lock(mutex_);
    if (end <= allowed_) return;
    allowed_ = end;
  }
  changed_.notify_all();
}

void PrefixHasher::Run() {
  std::string hash, error;
  int64_t done = 0;
  try {
    Digest digest(file_.hash_is_sha256() ? Digest::Algorithm::kSha256 : Digest::Algorithm::kSha1);
    if (!file_.hash_is_sha256()) {
      digest.Update("blob " + std::to_string(file_.size_bytes));
      digest.Update(std::string_view("\0", 1));
    }
    std::vector<std::byte> buffer(size_t{1} << 20);
    while (done < file_.size_bytes) {
      int64_t end = 0;
      {
        std::unique_lock lock(mutex_);
        hashed_ = done;
        changed_.wait(lock, [&] { return stop_ || allowed_ > done; });
        if (stop_) return;
        end = allowed_;
      }
      const auto wanted =
          static_cast<size_t>(std::min<int64_t>(end - done, static_cast<int64_t>(buffer.size())));
      const ssize_t got = ::pread(fd_, buffer.data(), wanted, done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        error = got < 0 ? std::strerror(errno) : "it became shorter";
        break;
      }
      digest.Update(std::span(buffer).first(static_cast<size_t>(got)));
      done += got;
    }
    if (error.empty()) hash = digest.FinishHex();
  } catch (const std::exception& failed) {
    error = failed.what();
  }
  const std::scoped_lock lock(mutex_);
  hashed_ = done;
  hash_ = hash;
  error_ = error;
  changed_.notify_all();
}

std::string PrefixHasher::Finish(const std::function<void(int64_t)>& waiting) {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::milliseconds(200),
                            [&] { return !hash_.empty() || !error_.empty(); })) {
    const int64_t done = hashed_;
    lock.unlock();
    waiting(done);
    lock.lock();
  }
  if (!error_.empty()) Fail(ErrorKind::kBadFile, "{}: cannot be read back: {}", Quoted(file_.path), error_);
  return hash_;
}

}  // namespace oxidized::hub
