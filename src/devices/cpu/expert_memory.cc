#include "devices/cpu/expert_memory.h"

#include "base/log.h"
#include "base/process.h"
#include "devices/own_weights.h"

namespace oxidized {

ExpertMemory::ExpertMemory(const ExpertMemoryOptions& options, const Checkpoint& checkpoint, bool mapped)
    : checkpoint_(checkpoint), mapped_(mapped) {
  if (options.budget) {
    ExpertFileMap map(checkpoint.weights, checkpoint.files);
    if (!mapped_ || map.num_stored() == 0) {
      LogFault(
          LogLevel::kWarning,
          {.setting = Setting::kExpertMemory,
           .found = fmt::format("no effect: no expert of {} can be read from the file as it is (decoded, "
                                "or in memory already)",
                                checkpoint.path.string())});
    } else if (const int32_t slots =
                   SlotsFor(*options.budget, map, options.ExpertsPerToken(checkpoint.config))) {
      auto reader = MakeBlockReader(map.files(), map.file_sizes());
      store_ = std::make_unique<ExpertStore>(ExpertStoreOptions{slots, options.eviction, options.prefetch},
                                             checkpoint.weights, std::move(map), std::move(reader));
    }
  }
  if (store_ == nullptr) resident_ = std::make_unique<ResidentExperts>(checkpoint.weights);
  cleaner_ = std::make_unique<MemoryCleaner>(checkpoint.weights, checkpoint.files,
                                             mapped_ ? resident_.get() : nullptr);
}

ExpertSource& ExpertMemory::source() {
  if (store_ != nullptr) return *store_;
  return *resident_;
}

void ExpertMemory::ReadAhead(const std::vector<std::span<const std::byte>>& unread,
                             const std::function<void(int64_t done, int64_t total)>& progress) const {
  if (!mapped_ || store_ != nullptr) return;
  constexpr double kWarm = 0.95;  // a few cold pages are not worth a pass over the file
  std::vector<std::vector<FileRange>> pages;
  int64_t total = 0;
  for (const MappedFile& file : checkpoint_.files) {
    pages.push_back(PagesWithout(file, unread));
    total += BytesOf(pages.back());
  }
  // Reading it all would only push out what was read first.
  if (total > AvailableMemoryBytes()) return;
  int64_t before = 0;
  for (size_t i = 0; i < pages.size(); ++i) {
    const MappedFile& file = checkpoint_.files[i];
    if (file.ResidentShare(pages[i]) < kWarm) {
      file.ReadAhead(pages[i], [&](int64_t done) {
        if (progress) progress(before + done, total);
        return true;
      });
    }
    before += BytesOf(pages[i]);
  }
}

}  // namespace oxidized
