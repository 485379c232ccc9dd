#include "moe/strategies/tools.h"

#include <algorithm>
#include <cmath>

namespace oxidized {
namespace {

// Routing is scalar, once for each layer and sequence, and must not allocate in a decode step.
std::vector<RankedExpert>& RankScratch() {
  thread_local std::vector<RankedExpert> scratch;
  return scratch;
}
std::vector<int64_t>& LoadScratch() {
  thread_local std::vector<int64_t> scratch;
  return scratch;
}

}  // namespace

std::span<const RankedExpert> RankExperts(std::span<const float> row, int32_t count) {
  std::vector<RankedExpert>& ranked = RankScratch();
  ranked.clear();
  for (size_t e = 0; e < row.size(); ++e) ranked.push_back({row[e], static_cast<int32_t>(e)});
  std::partial_sort(ranked.begin(), ranked.begin() + count, ranked.end());
  return std::span(ranked).first(static_cast<size_t>(count));
}

void SoftmaxOf(const float* logits, int32_t n, float* weights) {
  const float highest = logits[0];  // read first: weights may be the same memory
  float sum = 0.0f;
  for (int32_t i = 0; i < n; ++i) sum += weights[i] = std::exp(logits[i] - highest);
  for (int32_t i = 0; i < n; ++i) weights[i] /= sum;
}

CapacityLoad::CapacityLoad(double factor, int64_t tokens, int32_t k, int32_t usable)
    : served_(LoadScratch()) {
  const double choices = static_cast<double>(tokens) * k;
  capacity_ = static_cast<int64_t>(std::ceil(factor * choices / usable));
  served_.assign(static_cast<size_t>(usable), 0);
}

bool CapacityLoad::Take(int32_t expert) {
  int64_t& served = served_[static_cast<size_t>(expert)];
  if (served >= capacity_) return false;
  ++served;
  return true;
}

}  // namespace oxidized
