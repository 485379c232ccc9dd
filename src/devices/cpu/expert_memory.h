// Which experts of a model are in memory: all of them, by mapping or reading the files, or a part of them in
// a pool. Put together by the CPU device for its executor; owns whichever it is, and the clean-up beside it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "devices/device.h"
#include "experts/cleaner.h"
#include "experts/expert_store.h"

namespace oxidized {

class ExpertMemory {
 public:
  // `checkpoint` must outlive this; not `mapped`: everything is going to be read into memory. Throws
  // Error(kUsage) for a budget below what a token needs of a layer.
  ExpertMemory(const ExpertMemoryOptions& options, const Checkpoint& checkpoint, bool mapped = true);

  ExpertSource& source();
  const ExpertStore* store() const { return store_.get(); }  // nullptr: every expert is resident
  MemoryCleaner& cleaner() { return *cleaner_; }
  const MemoryCleaner& cleaner() const { return *cleaner_; }

  // Brings a mapped model that is not in memory there, front to back, if it fits: the first step would
  // otherwise fault it in page by page. Nothing where weights are memory of our own. `unread`: parts of the
  // files that nobody computes with. `progress` (bytes done, bytes in all) may throw.
  void ReadAhead(const std::vector<std::span<const std::byte>>& unread,
                 const std::function<void(int64_t done, int64_t total)>& progress) const;

 private:
  const Checkpoint& checkpoint_;
  const bool mapped_;
  std::unique_ptr<ExpertStore> store_;
  std::unique_ptr<ResidentExperts> resident_;
  std::unique_ptr<MemoryCleaner> cleaner_;
};

}  // namespace oxidized
