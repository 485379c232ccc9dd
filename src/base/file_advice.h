// Advice to the page cache about an open file: only a matter of speed, and nothing where a system has none.
#pragma once

#include <fcntl.h>

#include <cstdint>

namespace oxidized {

// It will be read from front to back.
inline void AdviseSequential([[maybe_unused]] int fd) {
#ifdef POSIX_FADV_SEQUENTIAL
  static_cast<void>(::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
#endif
}

// The cache need not keep this part, to the end with 0 bytes.
inline void AdviseForget([[maybe_unused]] int fd, [[maybe_unused]] int64_t offset = 0,
                         [[maybe_unused]] int64_t bytes = 0) {
#ifdef POSIX_FADV_DONTNEED
  static_cast<void>(::posix_fadvise(fd, offset, bytes, POSIX_FADV_DONTNEED));
#endif
}

}  // namespace oxidized
