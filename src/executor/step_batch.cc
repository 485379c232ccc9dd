#include "executor/step_batch.h"

#include <algorithm>
#include <limits>

namespace oxidized {

int32_t StepBatch::SequenceOf(int64_t row) const {
  const auto after = std::upper_bound(query_start.begin(), query_start.end(), static_cast<int32_t>(row));
  return static_cast<int32_t>(after - query_start.begin()) - 1;
}

void RoutingObservation::Resize(int32_t layers, int32_t tokens, int32_t row_stride, int32_t router_width) {
  stride = row_stride;
  const auto rows = static_cast<size_t>(layers) * static_cast<size_t>(tokens);
  experts.resize(rows * static_cast<size_t>(stride));
  weights.resize(rows * static_cast<size_t>(stride));
  dropped.resize(rows);
  rerouted.resize(rows);
  logits_width = router_width;
  logits.resize(rows * static_cast<size_t>(router_width));
}

RoutedRows RoutingObservation::Rows(int32_t layer, int32_t tokens, int32_t begin, int32_t end) {
  const size_t row = static_cast<size_t>(layer) * static_cast<size_t>(tokens) + static_cast<size_t>(begin);
  const auto count = static_cast<size_t>(end - begin);
  const auto width = static_cast<size_t>(stride);
  return {stride, std::span(experts).subspan(row * width, count * width),
          std::span(weights).subspan(row * width, count * width), std::span(dropped).subspan(row, count),
          std::span(rerouted).subspan(row, count)};
}

void RoutingObservation::KeepLogits(int32_t layer, int32_t tokens, std::span<const float> rows) {
  if (logits_width == 0) return;
  const std::span<float> kept = Logits(layer, tokens, 0, tokens);
  const auto from = rows.size() / static_cast<size_t>(tokens), to = static_cast<size_t>(logits_width);
  for (size_t t = 0; t < static_cast<size_t>(tokens); ++t) {
    std::copy_n(rows.begin() + static_cast<ptrdiff_t>(t * from), from,
                kept.begin() + static_cast<ptrdiff_t>(t * to));
    std::fill_n(kept.begin() + static_cast<ptrdiff_t>(t * to + from), to - from,
                -std::numeric_limits<float>::infinity());
  }
}

std::span<float> RoutingObservation::Logits(int32_t layer, int32_t tokens, int32_t begin, int32_t end) {
  const size_t row = static_cast<size_t>(layer) * static_cast<size_t>(tokens) + static_cast<size_t>(begin);
  const auto width = static_cast<size_t>(logits_width);
  return std::span(logits).subspan(row * width, static_cast<size_t>(end - begin) * width);
}

}  // namespace oxidized
