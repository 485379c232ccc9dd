#include "model/interleave.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <vector>

#include "tensor/interleaved.h"
#include "tensor/mxfp4.h"

namespace oxidized {
namespace {

constexpr int64_t kRows = kInterleavedRows;
constexpr int64_t kPanelsOfJob = 64;

// An expert's matrix, or some panels of a dense one.
struct Job {
  ExpertView* expert = nullptr;
  MatrixView* dense = nullptr;
  int64_t first = 0, panels = 0;  // of `dense`
  int64_t bytes = 0;
};

bool IsMxfp4AsStored(ExpertLayout layout) {
  return layout == ExpertLayout::kMxfp4 || layout == ExpertLayout::kGgmlMxfp4 ||
         layout == ExpertLayout::kOllamaMxfp4;
}

bool AllNormal(const std::byte* scales, int64_t count, int64_t stride) {
  bool all = true;
  for (int64_t i = 0; i < count; ++i) {
    const auto scale = static_cast<uint8_t>(scales[i * stride]);
    all = all && scale >= 2 && scale <= 254;
  }
  return all;
}

// The views promise not to change the bytes; what they lie in is ours (Interleavable).
std::byte* Ours(const std::byte* bytes) { return const_cast<std::byte*>(bytes); }

bool Interleave(ExpertView& e, std::vector<std::byte>& scratch) {
  const bool apart = e.up_values != nullptr;
  const int64_t blocks = e.cols / kMxfp4BlockElements, rows = apart ? e.rows / 2 : e.rows;
  const bool scales_apart = e.layout == ExpertLayout::kMxfp4;
  for (const std::byte* values : {e.values, e.up_values}) {
    if (values == nullptr) continue;
    if (!AllNormal(scales_apart ? e.scales : values, rows * blocks, scales_apart ? 1 : kMxfp4BlockBytes + 1))
      return false;
  }
  const NibbleOrder order =
      e.layout == ExpertLayout::kGgmlMxfp4 ? NibbleOrder::kGgml : NibbleOrder::kPublished;
  for (int64_t r = 0; r < rows; r += kRows) {
    if (scales_apart) {
      InterleaveMxfp4(Ours(e.values + r * blocks * kMxfp4BlockBytes), Ours(e.scales + r * blocks), blocks,
                      scratch);
      continue;
    }
    for (const std::byte* values : {e.values, e.up_values}) {
      if (values != nullptr)
        InterleaveMxfp4(Ours(values + r * blocks * (kMxfp4BlockBytes + 1)), order, blocks, scratch);
    }
  }
  e.layout = ExpertLayout::kInterleavedMxfp4;
  return true;
}

void AddDense(MatrixView& m, const WeightsView& weights, std::vector<Job>& jobs) {
  if (m.dtype != DType::kQ8_0 || m.interleaved || m.rows % kRows != 0 || m.data == weights.embedding.data)
    return;
  for (int64_t p = 0; p < m.rows / kRows; p += kPanelsOfJob) {
    const int64_t panels = std::min(kPanelsOfJob, m.rows / kRows - p);
    jobs.push_back({.dense = &m, .first = p, .panels = panels, .bytes = panels * kRows * m.row_bytes()});
  }
}

void AddExpert(ExpertView& e, std::vector<Job>& jobs) {
  const int64_t rows = e.up_values != nullptr ? e.rows / 2 : e.rows;
  if (IsMxfp4AsStored(e.layout) && rows % kRows == 0) jobs.push_back({.expert = &e, .bytes = e.bytes()});
}

}  // namespace

int64_t InterleaveRows(WeightsView& weights, Interleavable what, ThreadTeam& team,
                       const std::function<void(int64_t done, int64_t total)>& progress) {
  std::vector<Job> jobs;
  std::vector<MatrixView*> dense = {&weights.unembedding};
  for (LayerWeights& layer : weights.layers) {
    if (what.experts) {
      for (auto* experts : {&layer.gate_up, &layer.down}) {
        for (ExpertView& e : *experts) AddExpert(e, jobs);
      }
    }
    dense.insert(dense.end(), {&layer.q, &layer.k, &layer.v, &layer.o});
  }
  if (what.dense) {
    for (MatrixView* m : dense) AddDense(*m, weights, jobs);
  }
  int64_t total = 0;
  for (const Job& job : jobs) total += job.bytes;

  std::atomic<size_t> next{0};
  std::atomic<int64_t> done{0}, interleaved{0};
  std::exception_ptr stopped;  // by progress
  team.Run([&](int worker, int) {
    std::vector<std::byte> scratch;
    for (size_t i = next++; i < jobs.size(); i = next++) {
      const Job& job = jobs[i];
      if (job.expert != nullptr) {
        if (Interleave(*job.expert, scratch)) interleaved += job.bytes;
      } else {
        const int64_t panel_bytes = kRows * job.dense->row_bytes();
        for (int64_t p = job.first; p < job.first + job.panels; ++p)
          InterleaveQ8(Ours(job.dense->data + p * panel_bytes), job.dense->cols / 32, scratch);
        interleaved += job.bytes;
      }
      done += job.bytes;
      if (worker != 0 || !progress) continue;
      try {
        progress(done, total);
      } catch (...) {
        stopped = std::current_exception();
        next = jobs.size();
        break;
      }
    }
  });
  if (stopped) std::rethrow_exception(stopped);
  for (const Job& job : jobs) {
    if (job.dense != nullptr) job.dense->interleaved = true;
  }
  return interleaved;
}

}  // namespace oxidized
