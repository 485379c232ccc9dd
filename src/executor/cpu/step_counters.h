// For tests: what a step must not do. step_counters_test.cc replaces operator new and pthread_mutex_lock, in
// a file of its own so that no compiler sees through them.
#pragma once

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OXIDIZED_COUNTS_LOCKS 0  // sanitizers replace these functions themselves
#else
#define OXIDIZED_COUNTS_LOCKS 1
#endif

namespace oxidized::test {

// Of all threads, since the program began. Locks: of pthread_mutex_t and so of std::mutex, taken at once or
// not.
int64_t Allocations();
int64_t Locks();

// From now on and for good, every system call of every thread of this process fails and counts, but futex
// (park and wake), the clock (where the machine cannot read it without the kernel) and the end of the
// process. For a forked child. False where the kernel refuses.
bool TrapSystemCalls();
int64_t SystemCalls();     // trapped so far
int64_t LastSystemCall();  // number of the last one

}  // namespace oxidized::test
