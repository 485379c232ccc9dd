#include "experts/cleaner.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/process.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace oxidized {

MemoryCleaner::MemoryCleaner(const WeightsView& weights, std::span<const MappedFile> files,
                             const ResidentExperts* experts)
    : experts_(experts) {
  if (experts == nullptr || weights.layers.empty()) return;
  num_experts_ = static_cast<int32_t>(weights.layers.front().gate_up.size());
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto whole_pages = [&](const std::byte* data, int64_t bytes) {
    const bool mapped = std::any_of(files.begin(), files.end(),
                                    [&](const MappedFile& file) { return file.Maps(data, bytes); });
    const auto begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
    const auto end = (reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes)) / page * page;
    return mapped && begin < end ? Pages{reinterpret_cast<std::byte*>(begin), end - begin} : Pages{};
  };
  for (const LayerWeights& layer : weights.layers) {
    for (size_t e = 0; e < layer.gate_up.size(); ++e) {
      std::vector<Pages>& pages = pages_.emplace_back();
      for (const ExpertView* view : {&layer.gate_up[e], &layer.down[e]}) {
        for (const std::byte* values : {view->values, view->up_values}) {
          const Pages found = whole_pages(values, view->value_bytes());
          if (found.bytes > 0) pages.push_back(found);
        }
      }
    }
  }
  released_at_.assign(pages_.size(), 0);
}

void MemoryCleaner::AfterStep() {
  if (++steps_ % kCleanupSteps == 0) Run();
}

void MemoryCleaner::Run(int64_t cold_steps) {
  const auto begin = std::chrono::steady_clock::now();
  ProcessMemory before = ReadProcessMemory();
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
  ProcessMemory after = ReadProcessMemory();
  counts_.heap_bytes += std::max<int64_t>(0, before.anonymous_bytes - after.anonymous_bytes);
  if (!pages_.empty()) {
    before = after;
    ReleaseColdExperts(cold_steps);
    after = ReadProcessMemory();
    counts_.expert_bytes += std::max<int64_t>(0, before.file_bytes - after.file_bytes);
  }
  ++counts_.runs;
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  counts_.microseconds += took.count();
}

void MemoryCleaner::ReleaseColdExperts(int64_t cold_steps) {
  for (size_t key = 0; key < pages_.size(); ++key) {
    const auto layer = static_cast<int32_t>(key) / num_experts_;
    const auto expert = static_cast<int32_t>(key) % num_experts_;
    const int64_t last = experts_->last_use(layer, expert);
    if (last == released_at_[key] || last > experts_->steps() - cold_steps) continue;
    for (const Pages& pages : pages_[key]) ::madvise(pages.begin, pages.bytes, MADV_DONTNEED);
    released_at_[key] = last;
    ++counts_.cold_experts;
  }
}

}  // namespace oxidized
