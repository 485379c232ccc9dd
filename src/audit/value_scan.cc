#include "audit/value_scan.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <thread>

#include "base/interrupt.h"
#include "base/printable.h"
#include "base/process.h"
#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

constexpr int64_t kTaskValues = 1 << 22;  // a multiple of every block
constexpr float kHuge = 65536.0f;
// The smallest scale byte with which the largest code, 6, exceeds kHuge.
constexpr uint8_t kSuspiciousScale = 141;

constexpr Part kGlobalParts[] = {Part::kEmbedding, Part::kFinalNorm, Part::kUnembedding};
constexpr Part kLayerParts[] = {
    Part::kAttentionNorm, Part::kQ,     Part::kQBias, Part::kK,     Part::kKBias,   Part::kV,
    Part::kVBias,         Part::kSinks, Part::kO,     Part::kOBias, Part::kMlpNorm, Part::kRouter,
    Part::kRouterBias};

class TaskMaker {
 public:
  explicit TaskMaker(std::vector<ScanTask>& tasks) : tasks_(tasks) {}

  void Dense(const WeightsView& weights, Part part, int32_t layer) {
    const MatrixView matrix = DensePart(weights, part, std::max(layer, 0));
    ScanTask task;
    task.part = part;
    task.layer = layer;
    task.dtype = matrix.dtype;
    task.row_values = matrix.cols;
    Cut(task, matrix.data, nullptr, matrix.rows * matrix.cols);
  }

  void Expert(const ExpertView& view, Part part, int32_t layer, int32_t expert) {
    ScanTask task;
    task.part = part;
    task.layer = layer;
    task.expert = expert;
    const bool apart = view.up_values != nullptr;
    const int64_t rows = apart ? view.rows / 2 : view.rows;
    task.layout = view.layout;
    task.dtype = view.dtype;
    task.row_values = view.layout == ExpertLayout::kTransposed ? view.rows : view.cols;
    task.half = apart ? " (gate)" : "";
    Cut(task, view.values, view.scales, rows * view.cols);
    Bias(task, view.bias);
    if (!apart) return;
    task.half = " (up)";
    Cut(task, view.up_values, nullptr, rows * view.cols);
    Bias(task, view.up_bias);
  }

 private:
  void Bias(ScanTask task, const VectorView& bias) {
    task.bias = true;
    task.layout = ExpertLayout::kRows;
    task.dtype = bias.dtype;
    task.row_values = 1;
    Cut(task, bias.data, nullptr, bias.size);
  }

  void Cut(ScanTask task, const std::byte* data, const std::byte* scales, int64_t values) {
    for (int64_t at = 0; at < values; at += kTaskValues) {
      const int64_t some = std::min(kTaskValues, values - at);
      task.first = at;
      if (IsMxfp4(task.layout)) {
        const int64_t block = at / kMxfp4BlockElements;
        const bool apart = scales != nullptr;
        task.data = data + block * (apart ? kMxfp4BlockBytes : kMxfp4BlockBytes + 1);
        task.scales = apart ? scales + block : nullptr;
        task.count = some / kMxfp4BlockElements;
      } else {
        task.data = data + StoredBytes(task.dtype, at);
        task.count = some;
      }
      tasks_.push_back(task);
    }
  }

  std::vector<ScanTask>& tasks_;
};

// "2 NaN", "1 infinite value".
std::string Described(int64_t count, BadValue kind) {
  switch (kind) {
    case BadValue::kNan:
      return fmt::format("{} NaN", count);
    case BadValue::kInfinite:
      return Counted(count, "infinite value");
    case BadValue::kScale255:
      return Counted(count, "block") + " with the scale byte 255, which is not a number";
    case BadValue::kHugeScale:
      return Counted(count, "block") + " whose scale makes weights larger than 65536";
  }
  return "";
}

}  // namespace

int64_t ScanTask::values() const { return IsMxfp4(layout) ? count * kMxfp4BlockElements : count; }

int64_t ScanTask::bytes() const {
  return IsMxfp4(layout) ? count * (kMxfp4BlockBytes + 1) : StoredBytes(dtype, count);
}

const std::byte* ScanTask::end() const {
  if (!IsMxfp4(layout)) return data + StoredBytes(dtype, count);
  if (scales == nullptr) return data + count * (kMxfp4BlockBytes + 1);
  return std::max(data + count * kMxfp4BlockBytes, scales + count);
}

std::vector<ScanTask> ScanTasks(const ModelConfig& config, const WeightsView& weights) {
  std::vector<ScanTask> tasks;
  TaskMaker maker(tasks);
  for (const Part part : kGlobalParts) maker.Dense(weights, part, -1);
  for (int32_t layer = 0; layer < config.num_layers; ++layer) {
    for (const Part part : kLayerParts) maker.Dense(weights, part, layer);
    const LayerWeights& w = weights.layers[static_cast<size_t>(layer)];
    for (int32_t e = 0; e < config.layer(layer).num_experts; ++e) {
      maker.Expert(w.gate_up[static_cast<size_t>(e)], Part::kGateUp, layer, e);
      maker.Expert(w.down[static_cast<size_t>(e)], Part::kDown, layer, e);
    }
  }
  return tasks;
}

void ScanFindings::Add(const ScanTask& task, BadValue kind, int64_t index) {
  const std::lock_guard lock(mutex_);
  Finding& finding = found_[Key(task.layer, task.part, task.expert, task.bias, task.half, kind)];
  if (finding.count++ == 0 || index < finding.first) {
    finding.first = index;
    finding.task = task;
  }
}

void ScanFindings::Scan(const ScanTask& task) {
  if (IsMxfp4(task.layout)) {
    const auto* stored = reinterpret_cast<const uint8_t*>(task.data);
    const auto* scales = reinterpret_cast<const uint8_t*>(task.scales);
    for (int64_t b = 0; b < task.count; ++b) {
      const uint8_t* block =
          scales != nullptr ? stored + b * kMxfp4BlockBytes : stored + b * (kMxfp4BlockBytes + 1) + 1;
      const uint8_t scale = scales != nullptr ? scales[b] : block[-1];
      if (scale < kSuspiciousScale) continue;
      const int64_t index = task.first + b * kMxfp4BlockElements;
      if (scale == 255) {
        Add(task, BadValue::kScale255, index);
        continue;
      }
      float values[kMxfp4BlockElements];
      DecodeMxfp4Block(block, scale, values);  // the order does not matter here
      if (std::any_of(values, values + kMxfp4BlockElements, [](float v) { return std::fabs(v) > kHuge; }))
        Add(task, BadValue::kHugeScale, index);
    }
    return;
  }
  constexpr int64_t kAtOnce = 4096;
  float values[kAtOnce];
  for (int64_t at = 0; at < task.count; at += kAtOnce) {
    const int64_t some = std::min(kAtOnce, task.count - at);
    DecodeStored(task.dtype, task.data + StoredBytes(task.dtype, at), some, values);
    // One pass that the compiler vectorises; the rare second one finds the places.
    float sum = 0.0f;
    for (int64_t i = 0; i < some; ++i) sum += values[i] * 0.0f;
    if (sum == 0.0f) continue;
    for (int64_t i = 0; i < some; ++i) {
      if (std::isnan(values[i])) Add(task, BadValue::kNan, task.first + at + i);
      if (std::isinf(values[i])) Add(task, BadValue::kInfinite, task.first + at + i);
    }
  }
}

std::vector<std::string> ScanAll(const ModelConfig& config, const WeightsView& weights, int threads,
                                 const std::function<void(int64_t done, int64_t total)>& progress) {
  const std::vector<ScanTask> tasks = ScanTasks(config, weights);
  int64_t total = 0, done = 0;
  for (const ScanTask& task : tasks) total += task.bytes();
  ScanFindings findings;
  std::mutex mutex;
  size_t next = 0;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (;;) {
        std::unique_lock lock(mutex);
        if (next == tasks.size() || failure) return;
        const ScanTask& task = tasks[next++];
        lock.unlock();
        ThrowIfInterrupted();
        findings.Scan(task);
        lock.lock();
        done += task.bytes();
        if (progress) progress(done, total);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> team;
    for (int i = 0; i < std::max(1, threads); ++i) team.push_back(StartThread(work));
  }
  if (failure) std::rethrow_exception(failure);
  return findings.Lines();
}

std::vector<std::string> ScanFindings::Lines() const {
  std::vector<std::string> lines;
  for (const auto& [key, finding] : found_) {
    const ScanTask& task = finding.task;
    std::string place = task.layer < 0 ? "" : fmt::format("layer {}, ", task.layer);
    if (task.expert >= 0) {
      place += fmt::format("expert {}, {}{}{}", task.expert, task.part == Part::kGateUp ? "gate_up" : "down",
                           task.half, task.bias ? " bias" : "");
    } else {
      place += Name(task.part);
    }
    std::string where = task.row_values == 1
                            ? fmt::format("index {}", finding.first)
                            : fmt::format("row {}, column {}", finding.first / task.row_values,
                                          finding.first % task.row_values);
    if (task.layout == ExpertLayout::kTransposed) where += " as stored";
    lines.push_back(
        fmt::format("{}: {}, the first at {}", place, Described(finding.count, std::get<5>(key)), where));
  }
  return lines;
}

}  // namespace oxidized
