// Looks at stored values for what no trained model holds: NaN, infinities, MXFP4 scales of 255 or so large
// that weights exceed 2^16. Cuts a model into stretches of bytes that can be looked at in any order. Called
// by verify, which chooses the order, and by convert.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "model/parts.h"

namespace oxidized {

enum class BadValue : uint8_t { kNan, kInfinite, kScale255, kHugeScale };

// A stretch of stored values: of one dense part, or one expert's matrix (or half of it) or bias.
struct ScanTask {
  Part part = Part::kEmbedding;
  int32_t layer = -1;     // -1: outside the layers
  int32_t expert = -1;    // -1: dense
  bool bias = false;      // of an expert
  const char* half = "";  // " (gate)" where gate and up are stored apart

  // MXFP4 layouts: `count` blocks; else `count` values of `dtype`.
  ExpertLayout layout = ExpertLayout::kRows;
  DType dtype = DType::kBF16;
  const std::byte* data = nullptr;
  const std::byte* scales = nullptr;  // kMxfp4
  int64_t first = 0;                  // index of the first value in its tensor
  int64_t count = 0;
  int64_t row_values = 1;  // values in a stored row: an index is told as row and column

  int64_t values() const;
  int64_t bytes() const;         // of `data` and `scales`
  const std::byte* end() const;  // behind the last byte of `data` (and not before that of `scales`)
};

std::vector<ScanTask> ScanTasks(const ModelConfig& config, const WeightsView& weights);

// What was found, by place and kind; thread safe.
class ScanFindings {
 public:
  void Scan(const ScanTask& task);
  std::vector<std::string> Lines() const;  // "layer 3, query weight: 2 NaN, the first at row 5, column 7"

 private:
  struct Finding {
    int64_t count = 0;
    int64_t first = 0;
    ScanTask task;
  };
  using Key = std::tuple<int32_t, Part, int32_t, bool, std::string, BadValue>;
  void Add(const ScanTask& task, BadValue kind, int64_t index);
  std::mutex mutex_;
  std::map<Key, Finding> found_;
};

// Looks at all of a model on some threads and returns the lines of what was found. `progress` may be empty;
// of bytes, from one thread at a time. Throws Interrupted.
std::vector<std::string> ScanAll(const ModelConfig& config, const WeightsView& weights, int threads,
                                 const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace oxidized
