// Whether a timed run had the machine to itself, for `bench` and --benchmark-moe: what the kernel counted
// while it ran, and a warning for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "bench/figure.h"

namespace oxidized::cli {

// Of all threads of this process so far. Those that compute bear the name of its first thread, which they
// inherit; readers of experts have a name of their own (experts/queued_reader.h), as have the kernel's for
// io_uring.
struct ThreadTimes {
  double waited_s = 0.0;   // those that compute, ready to run, for a processor; NaN: this kernel does not say
  double reading_s = 0.0;  // the others had a processor
};
ThreadTimes ReadThreadTimes();

// How long those that compute waited for other processes meanwhile. A reader wants a processor as they do,
// and while it has one, one of them may have to wait: that much is the process's own doing, and so is
// whatever a reader waits for.
double WaitedForOthers(const ThreadTimes& before, const ThreadTimes& after);

// Of a run that begins when this is made. Looking takes some 20 us: outside the timed part.
class RunWatch {
 public:
  RunWatch();
  // Notes in the sample what has happened since. Of threads that have ended meanwhile nothing is known.
  void NoteIn(Sample& sample) const;

 private:
  std::chrono::steady_clock::time_point start_;
  int64_t major_faults_;
  ThreadTimes times_;
};

// One line each about disturbed runs and about pages that were read from disk; nothing if there were none.
void WarnIfDisturbed(std::string_view what, std::span<const Sample> samples);

}  // namespace oxidized::cli
