#include "executor/step_batch.h"

namespace oxidized {

void RoutingObservation::Resize(int32_t layers, int32_t tokens, int32_t row_stride) {
  stride = row_stride;
  const auto rows = static_cast<size_t>(layers) * static_cast<size_t>(tokens);
  experts.resize(rows * static_cast<size_t>(stride));
  weights.resize(rows * static_cast<size_t>(stride));
  dropped.resize(rows);
  rerouted.resize(rows);
}

RoutedRows RoutingObservation::Rows(int32_t layer, int32_t tokens, int32_t begin, int32_t end) {
  const size_t row = static_cast<size_t>(layer) * static_cast<size_t>(tokens) + static_cast<size_t>(begin);
  const auto count = static_cast<size_t>(end - begin);
  const auto width = static_cast<size_t>(stride);
  return {stride, std::span(experts).subspan(row * width, count * width),
          std::span(weights).subspan(row * width, count * width), std::span(dropped).subspan(row, count),
          std::span(rerouted).subspan(row, count)};
}

}  // namespace oxidized
