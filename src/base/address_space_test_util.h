// For tests of what happens when a limit on memory is met: address space for a few more pieces of it. Header
// only, not part of the product.
#pragma once

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace oxidized::test {

// While it lives, `pieces` times kPiece bytes can be mapped; a thread that is started takes one of them.
class ScarceAddressSpace {
 public:
  static constexpr size_t kPiece = size_t{256} << 20;

  explicit ScarceAddressSpace(int pieces) {
    ::pthread_getattr_default_np(&attributes_);
    pthread_attr_t large = attributes_;
    ::pthread_attr_setstacksize(&large, kPiece);  // stacks kept of threads before do not fit
    ::pthread_setattr_default_np(&large);
    ::getrlimit(RLIMIT_AS, &limit_);
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit scarce{static_cast<rlim_t>(pages * ::sysconf(_SC_PAGESIZE)) + kPiece * (2 * pieces + 1) / 2,
                        limit_.rlim_max};
    ::setrlimit(RLIMIT_AS, &scarce);
  }
  ~ScarceAddressSpace() {
    ::setrlimit(RLIMIT_AS, &limit_);
    ::pthread_setattr_default_np(&attributes_);
  }
  ScarceAddressSpace(const ScarceAddressSpace&) = delete;
  ScarceAddressSpace& operator=(const ScarceAddressSpace&) = delete;

  // Emulators do not keep the limit; sanitizers end the program when they meet it.
  static bool Works() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#else
    const ScarceAddressSpace none(0);
    void* piece = ::mmap(nullptr, kPiece, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (piece != MAP_FAILED) ::munmap(piece, kPiece);
    return piece == MAP_FAILED;
#endif
  }

 private:
  pthread_attr_t attributes_;
  rlimit limit_{};
};

}  // namespace oxidized::test
