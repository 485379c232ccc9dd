#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include "base/error.h"

namespace oxidized::internal {

void* MapPages(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* data =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED)
    Fail(ErrorKind::kNoMemory,
         "no address space for {} bytes: raise the limit on memory (ulimit -v, ulimit -d), or ask for less, "
         "as with a shorter context",
         bytes);
  return data;
}

void UnmapPages(void* data, size_t bytes) noexcept {
  if (data != nullptr) ::munmap(data, bytes);
}

}  // namespace oxidized::internal

namespace oxidized {

void AdviseHugePages(void* data, size_t bytes) noexcept {
#ifdef MADV_HUGEPAGE
  if (data != nullptr) ::madvise(data, bytes, MADV_HUGEPAGE);
#else
  static_cast<void>(data);
  static_cast<void>(bytes);
#endif
}

}  // namespace oxidized
