// Whether a timed run had the machine to itself, for `bench` and --benchmark-moe: what the kernel counted
// while it ran, and a warning for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "cli/figure.h"

namespace oxidized::cli {

// Of a run that begins when this is made. Looking takes some 20 us: outside the timed part.
class RunWatch {
 public:
  RunWatch();
  // Notes in the sample what has happened since. Of threads that have ended meanwhile nothing is known.
  void NoteIn(Sample& sample) const;

 private:
  std::chrono::steady_clock::time_point start_;
  int64_t major_faults_;
  double waited_s_;  // of all threads, for a processor; NaN: this kernel does not say
};

// One line each about disturbed runs and about pages that were read from disk; nothing if there were none.
void WarnIfDisturbed(std::string_view what, std::span<const Sample> samples);

}  // namespace oxidized::cli
