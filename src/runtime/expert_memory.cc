#include "runtime/expert_memory.h"

#include "base/log.h"
#include "base/process.h"

namespace oxidized {

ExpertMemory::ExpertMemory(const ExpertMemoryOptions& options, const Checkpoint& checkpoint)
    : checkpoint_(checkpoint) {
  if (options.budget) {
    ExpertFileMap map(checkpoint.weights, checkpoint.files);
    if (map.num_stored() == 0) {
      Log(LogLevel::kWarning,
          "--expert-memory has no effect: no expert of {} can be read from the file as it is (converted, or "
          "read by --use-mmap=false)",
          checkpoint.path.string());
    } else if (const int32_t slots =
                   SlotsFor(*options.budget, map, options.ExpertsPerToken(checkpoint.config))) {
      for (size_t file = 0; file < checkpoint.files.size(); ++file)
        ranges_.push_back(map.OtherBytes(static_cast<int32_t>(file)));
      auto reader = MakeBlockReader(map.files(), map.file_sizes());
      store_ = std::make_unique<ExpertStore>(ExpertStoreOptions{slots, options.eviction, options.prefetch},
                                             checkpoint.weights, std::move(map), std::move(reader));
    }
  }
  if (store_ == nullptr) {
    resident_ = std::make_unique<ResidentExperts>(checkpoint.weights);
    for (const MappedFile& file : checkpoint.files)
      ranges_.push_back({{0, static_cast<int64_t>(file.bytes().size())}});
  }
  cleaner_ = std::make_unique<MemoryCleaner>(checkpoint.weights, checkpoint.files, resident_.get());
}

ExpertSource& ExpertMemory::source() {
  if (store_ != nullptr) return *store_;
  return *resident_;
}

void ExpertMemory::ReadAhead(const std::function<bool(int64_t done, int64_t total)>& progress) const {
  constexpr double kWarm = 0.95;  // a few cold pages are not worth a pass over the file
  int64_t total = 0;
  for (const std::vector<FileRange>& ranges : ranges_) {
    for (const FileRange& range : ranges) total += range.end - range.begin;
  }
  const int64_t pool = store_ == nullptr ? 0 : store_->slots() * store_->slot_bytes();
  // Reading it all would only push out what was read first.
  if (total > AvailableMemoryBytes() - pool) return;
  int64_t before = 0;
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const MappedFile& file = checkpoint_.files[i];
    for (const FileRange& range : ranges_[i]) {
      bool go_on = true;
      if (file.ResidentShare(range.begin, range.end) < kWarm) {
        file.ReadAhead(range.begin, range.end,
                       [&](int64_t done) { return go_on = progress(before + done, total); });
      }
      if (!go_on) return;
      before += range.end - range.begin;
    }
  }
}

}  // namespace oxidized
