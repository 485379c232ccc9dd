#include "parallel/parking.h"

#if defined(__linux__)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

namespace oxidized::internal {

// std::atomic's wait yields several times before it sleeps, and its notify enters the kernel for whoever
// waits on any other word of the same hash.
void Park(const std::atomic<uint32_t>& word, uint32_t old_value) {
  static_assert(sizeof(word) == 4);
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, old_value, nullptr, nullptr, 0);
}
void WakeAll(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace oxidized::internal

#else

namespace oxidized::internal {

void Park(const std::atomic<uint32_t>& word, uint32_t old_value) { word.wait(old_value); }
void WakeAll(std::atomic<uint32_t>& word) { word.notify_all(); }

}  // namespace oxidized::internal

#endif
