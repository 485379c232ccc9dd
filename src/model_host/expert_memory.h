// Which experts of a model are in memory: all of them, by mapping or reading the files, or a part of them in
// a pool. Put together by Runtime for the CPU executor; owns whichever it is, and the clean-up beside it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "experts/cleaner.h"
#include "experts/expert_budget.h"
#include "experts/expert_store.h"

namespace oxidized {

struct ExpertMemoryOptions {
  std::optional<ExpertBudget> budget;  // nullopt: every expert
  EvictionRule eviction = EvictionRule::kLru;
  bool prefetch = true;
  int32_t experts_per_token = 0;  // of the requests to come; 0: the model's
  bool mapped = true;             // false: everything is going to be read into memory

  int32_t ExpertsPerToken(const ModelConfig& config) const {
    return experts_per_token > 0 ? experts_per_token : config.experts_per_token;
  }
};

class ExpertMemory {
 public:
  // `checkpoint` must outlive this. Throws Error(kUsage) for a budget below what a token needs of a layer.
  ExpertMemory(const ExpertMemoryOptions& options, const Checkpoint& checkpoint);

  ExpertSource& source();
  const ExpertStore* store() const { return store_.get(); }  // nullptr: every expert is resident
  MemoryCleaner& cleaner() { return *cleaner_; }
  const MemoryCleaner& cleaner() const { return *cleaner_; }

  // See Runtime::ReadAhead: nothing where weights are memory of our own. `unread`: parts of the files that
  // nobody computes with.
  void ReadAhead(const std::vector<std::span<const std::byte>>& unread,
                 const std::function<bool(int64_t done, int64_t total)>& progress) const;

 private:
  const Checkpoint& checkpoint_;
  const bool mapped_;
  std::unique_ptr<ExpertStore> store_;
  std::unique_ptr<ResidentExperts> resident_;
  std::unique_ptr<MemoryCleaner> cleaner_;
};

}  // namespace oxidized
