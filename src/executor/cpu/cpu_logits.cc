#include "executor/cpu/cpu_logits.h"

#include <algorithm>

#include "executor/taps.h"

namespace oxidized {

CpuLogits::CpuLogits(const MatrixView& unembedding, const PackedDense& packed, const CpuKernels& kernels,
                     XType x_type, int64_t rows_at_once, ThreadTeam& team)
    : unembedding_(unembedding),
      packed_(packed),
      kernels_(kernels),
      x_type_(x_type),
      rows_at_once_(rows_at_once),
      team_(team),
      logits_("activations", MemoryClass::kActivations,
              static_cast<size_t>(rows_at_once * unembedding.rows)) {}

void CpuLogits::Unembed(const StepBatch& batch, const void* x, StageClock& clock) {
  FindWantedRows(batch);
  kept_.clear();
  const auto v = static_cast<size_t>(unembedding_.rows), most = static_cast<size_t>(rows_at_once_);
  const bool keep = wanted_.size() > most;  // the sampler needs rows of several passes
  std::vector<float> shown;
  for (size_t first = 0; first < wanted_.size(); first += most) {
    const auto rows = std::span(wanted_).subspan(first, std::min(wanted_.size() - first, most));
    UnembedRows(x, rows);
    clock.End(CpuStage::kUnembed, packed_.ReadBytes(unembedding_),
              2 * static_cast<int64_t>(rows.size()) * unembedding_.rows * unembedding_.cols);
    for (size_t i = 0; i < rows.size(); ++i) {
      const int32_t t = rows[i];
      const std::span<const float> row(logits_.data() + i * v, v);
      LogitsSink* sink =
          batch.logits.empty() ? nullptr : batch.logits[static_cast<size_t>(batch.SequenceOf(t))];
      if (sink != nullptr) sink->Row(batch.positions[static_cast<size_t>(t)], row);
      if (keep && IsSampled(t)) kept_.insert(kept_.end(), row.begin(), row.end());
      if (batch.taps != nullptr) shown.insert(shown.end(), row.begin(), row.end());
    }
  }
  if (batch.taps != nullptr) batch.taps->Tap(tap::kLogits, -1, shown, unembedding_.rows);
}

void CpuLogits::Sample(const StepBatch& batch, std::span<const TokenMask* const> late, Slots& slots,
                       StageClock& clock, std::vector<SampledToken>& samples) {
  slots.Sample(batch, late, [this](size_t i) { return LogitsOfSample(i); }, &team_, samples);
  clock.End(CpuStage::kSample);
}

void CpuLogits::UnembedRows(const void* x, std::span<const int32_t> rows) {
  const DenseArgs args{.x = x,
                       .ldx = XStride(x_type_, unembedding_.cols),
                       .w = unembedding_.data,
                       .interleaved = unembedding_.interleaved,
                       .packed = packed_.Find(unembedding_),
                       .bias = nullptr,
                       .y = logits_.data(),
                       .ldy = unembedding_.rows,
                       .tokens = static_cast<int64_t>(rows.size()),
                       .k = unembedding_.cols,
                       .x_rows = rows.data()};
  const DenseProduct product = DenseProductFor(kernels_, unembedding_, x_type_, args.packed != nullptr);
  team_.Run([&](int worker, int workers) {
    const Share share = ShareOf(unembedding_.rows, RowGranuleOf(unembedding_), worker, workers);
    product(args, share.begin, share.end);
  });
}

void CpuLogits::FindWantedRows(const StepBatch& batch) {
  wanted_.clear();
  for (size_t s = 0; s < batch.logits.size(); ++s) {
    if (batch.logits[s] == nullptr) continue;
    for (int32_t t = batch.query_start[s]; t < batch.query_start[s + 1]; ++t) wanted_.push_back(t);
  }
  sampled_.clear();
  for (const SampleSpec& spec : batch.samples) sampled_.push_back(spec.row);
  sampled_row_.assign(sampled_.begin(), sampled_.end());
  std::sort(sampled_.begin(), sampled_.end());
  sampled_.erase(std::unique(sampled_.begin(), sampled_.end()), sampled_.end());
  wanted_.insert(wanted_.end(), sampled_.begin(), sampled_.end());
  std::sort(wanted_.begin(), wanted_.end());
  wanted_.erase(std::unique(wanted_.begin(), wanted_.end()), wanted_.end());
}

bool CpuLogits::IsSampled(int32_t t) const { return std::binary_search(sampled_.begin(), sampled_.end(), t); }

std::span<const float> CpuLogits::LogitsOfSample(size_t i) const {
  const auto v = static_cast<size_t>(unembedding_.rows);
  const bool kept = !kept_.empty();
  const std::vector<int32_t>& rows = kept ? sampled_ : wanted_;
  const auto at =
      static_cast<size_t>(std::lower_bound(rows.begin(), rows.end(), sampled_row_[i]) - rows.begin());
  return {(kept ? kept_.data() : logits_.data()) + at * v, v};
}

}  // namespace oxidized
