#include "hub/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"

namespace oxidized::hub {

FileLock::FileLock(const std::filesystem::path& path, const std::function<void()>& waiting) {
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664);
  if (fd_ < 0) Fail(ErrorKind::kBadFile, "{}: {}", path.string(), std::strerror(errno));
  for (bool told = false; ::flock(fd_, LOCK_EX | LOCK_NB) != 0;) {
    const int error = errno;
    if (error == ENOSYS || error == ENOLCK || error == EOPNOTSUPP) {
      Log(LogLevel::kWarning, "{}: this file system has no locks ({}); do not pull twice at once",
          path.string(), std::strerror(error));
      return;
    }
    if (error != EWOULDBLOCK && error != EACCES && error != EINTR) {
      ::close(fd_);
      Fail(ErrorKind::kBadFile, "{}: cannot be locked: {}", path.string(), std::strerror(error));
    }
    if (!told && waiting) waiting();
    told = true;
    try {
      ThrowIfInterrupted();
    } catch (...) {
      ::close(fd_);
      throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

FileLock::~FileLock() { ::close(fd_); }

}  // namespace oxidized::hub
