#include "model/arrange.h"

#include <algorithm>
#include <atomic>
#include <span>
#include <vector>

#include "base/error.h"
#include "tensor/grouped_mxfp4.h"
#include "tensor/interleaved.h"
#include "tensor/mxfp4.h"

namespace oxidized {
namespace {

constexpr int64_t kRows = kInterleavedRows;
constexpr int64_t kPanelsOfJob = 64;
constexpr size_t kJobsAtOnce = 64;  // between two reports of progress

// An expert's matrix, or some panels of a dense one.
struct Job {
  ExpertView* expert = nullptr;
  MatrixView* dense = nullptr;
  int64_t first = 0, panels = 0;  // of `dense`
  int64_t bytes = 0;
};

bool ScalesWithin(int low, int high, const std::byte* scales, int64_t count, int64_t stride) {
  bool all = true;
  for (int64_t i = 0; i < count; ++i) {
    const auto scale = static_cast<uint8_t>(scales[i * stride]);
    all = all && scale >= low && scale <= high;
  }
  return all;
}

// The views promise not to change the bytes; what they lie in is ours.
std::byte* Ours(const std::byte* bytes) { return const_cast<std::byte*>(bytes); }

// How an expert's matrix, or its gate or up, lies as stored.
struct StoredMxfp4 {
  int64_t rows, blocks;
  NibbleOrder order;
  const std::byte* scales;  // apart; nullptr: each before its block
};

void Interleave(const std::byte* values, const StoredMxfp4& m, std::vector<std::byte>& scratch) {
  for (int64_t r = 0; r < m.rows; r += kRows) {
    if (m.scales != nullptr) {
      InterleaveMxfp4(Ours(values + r * m.blocks * kMxfp4BlockBytes), Ours(m.scales + r * m.blocks), m.blocks,
                      scratch);
    } else {
      InterleaveMxfp4(Ours(values + r * m.blocks * (kMxfp4BlockBytes + 1)), m.order, m.blocks, scratch);
    }
  }
}

void Group(const std::byte* values, const StoredMxfp4& m, std::vector<std::byte>& scratch) {
  for (int64_t r = 0; r < m.rows; ++r) {
    if (m.scales != nullptr) {
      GroupMxfp4Codes(Ours(values + r * m.blocks * kMxfp4BlockBytes), m.blocks, scratch);
    } else {
      GroupMxfp4Row(Ours(values + r * m.blocks * (kMxfp4BlockBytes + 1)), m.order, m.blocks, scratch);
    }
  }
}

using Arranger = void (*)(const std::byte* values, const StoredMxfp4& m, std::vector<std::byte>& scratch);
Arranger ArrangerTo(ExpertLayout to) {
  return to == ExpertLayout::kInterleavedMxfp4 ? Interleave
         : to == ExpertLayout::kGroupedMxfp4   ? Group
                                               : nullptr;
}

bool Arrange(ExpertLayout to, ExpertView& e, std::vector<std::byte>& scratch) {
  const ExpertLayoutRow &from = LayoutRow(e.layout), &wanted = LayoutRow(to);
  const StoredMxfp4 m{e.up_values != nullptr ? e.rows / 2 : e.rows, e.cols / kMxfp4BlockElements,
                      from.nibbles, from.scales == ScalePlace::kOwnMatrix ? e.scales : nullptr};
  for (const std::byte* values : {e.values, e.up_values}) {
    if (values == nullptr) continue;
    const bool within = m.scales == nullptr;
    if (!ScalesWithin(wanted.lowest_scale, wanted.highest_scale, within ? values : m.scales,
                      m.rows * m.blocks, within ? kMxfp4BlockBytes + 1 : 1))
      return false;
  }
  for (const std::byte* values : {e.values, e.up_values}) {
    if (values != nullptr) ArrangerTo(to)(values, m, scratch);
  }
  e.layout = to;
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

void AddExpert(ExpertLayout to, ExpertView& e, std::vector<Job>& jobs) {
  const ExpertLayoutRow& from = LayoutRow(e.layout);
  const int64_t rows = e.up_values != nullptr ? e.rows / 2 : e.rows;
  if (from.mxfp4() && from.in_files && rows % LayoutRow(to).row_multiple == 0)
    jobs.push_back({.expert = &e, .bytes = e.bytes()});
}

}  // namespace

const char* Arrangements::name() const {
  if (experts) return LayoutRow(*experts).name;
  return interleave_dense ? LayoutRow(ExpertLayout::kInterleavedMxfp4).name : "stored";
}

int64_t ArrangeWeights(const Arrangements& how, WeightsView& weights, ThreadTeam& team,
                       const std::function<void(int64_t done, int64_t total)>& progress) {
  OX_CHECK(!how.experts || ArrangerTo(*how.experts) != nullptr);
  std::vector<Job> jobs;
  std::vector<MatrixView*> dense = {&weights.unembedding};
  for (LayerWeights& layer : weights.layers) {
    if (how.experts) {
      for (auto* of_layer : {&layer.gate_up, &layer.down}) {
        for (ExpertView& e : *of_layer) AddExpert(*how.experts, e, jobs);
      }
    }
    dense.insert(dense.end(), {&layer.q, &layer.k, &layer.v, &layer.o});
  }
  if (how.interleave_dense) {
    for (MatrixView* m : dense) AddDense(*m, weights, jobs);
  }
  int64_t done = 0, total = 0;
  for (const Job& job : jobs) total += job.bytes;

  std::atomic<int64_t> arranged{0};
  std::vector<std::vector<std::byte>> scratch(static_cast<size_t>(team.size()));
  for (size_t begin = 0; begin < jobs.size(); begin += kJobsAtOnce) {
    const auto some = std::span(jobs).subspan(begin, std::min(kJobsAtOnce, jobs.size() - begin));
    team.ForEach(std::ssize(some), [&](int64_t item, int share) {
      const Job& job = some[static_cast<size_t>(item)];
      std::vector<std::byte>& room = scratch[static_cast<size_t>(share)];
      if (job.expert == nullptr) {
        const int64_t panel_bytes = kRows * job.dense->row_bytes();
        for (int64_t p = job.first; p < job.first + job.panels; ++p)
          InterleaveQ8(Ours(job.dense->data + p * panel_bytes), job.dense->cols / 32, room);
      } else if (!Arrange(*how.experts, *job.expert, room)) {
        return;
      }
      arranged += job.bytes;
    });
    for (const Job& job : some) done += job.bytes;
    if (progress) progress(done, total);
  }
  for (const Job& job : jobs) {
    if (job.dense != nullptr) job.dense->interleaved = true;
  }
  return arranged;
}

}  // namespace oxidized
