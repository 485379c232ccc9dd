// Clean-up while the program generates: gives back to the system what it holds without needing it. Results
// never change. Called between steps; every kCleanupSteps of them it
//  - returns free pages of the heap (malloc_trim), and
//  - with mapped experts: takes those that no token of the last kColdSteps steps used out of the process's
//    memory (MADV_DONTNEED). They stay in the page cache while the machine has room for them, and are the
//    first to go when it has not; a token that wants one again maps it back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/mapped_file.h"
#include "model/weights.h"
#include "moe/expert_source.h"

namespace oxidized {

inline constexpr int64_t kCleanupSteps = 256;
inline constexpr int64_t kColdSteps = 1024;

struct CleanupCounts {
  int64_t runs = 0;
  int64_t heap_bytes = 0;    // fewer resident afterwards
  int64_t cold_experts = 0;  // let go
  int64_t expert_bytes = 0;  // of mapped files, fewer resident afterwards
  double microseconds = 0.0;
};

class MemoryCleaner {
 public:
  // `experts` may be null (a store keeps its own budget, and memory of our own is not given back). All three
  // must outlive this.
  MemoryCleaner(const WeightsView& weights, std::span<const MappedFile> files,
                const ResidentExperts* experts);

  void AfterStep();
  // What AfterStep does every so often: experts not used in the last `cold_steps` steps are let go.
  void Run(int64_t cold_steps = kColdSteps);
  const CleanupCounts& counts() const { return counts_; }

 private:
  // The whole pages of an expert's values, where they are mapped.
  struct Pages {
    std::byte* begin = nullptr;
    size_t bytes = 0;
  };
  void ReleaseColdExperts(int64_t cold_steps);

  const ResidentExperts* experts_;
  int32_t num_experts_ = 0;
  std::vector<std::vector<Pages>> pages_;  // [L * E]
  std::vector<int64_t> released_at_;       // [L * E] the last use after which it was let go
  int64_t steps_ = 0;
  CleanupCounts counts_;
};

}  // namespace oxidized
