#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace oxidized {

RopeFrequencies ComputeRopeFrequencies(const RopeConfig& rope, int32_t head_dim) {
  const int32_t pairs = head_dim / 2;
  // The dimension at which a full turn takes `context / turns` positions.
  const auto dimension = [&](double turns) {
    return head_dim *
           std::log(static_cast<double>(rope.original_context) / (turns * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(rope.theta));
  };
  double low = dimension(rope.beta_fast);
  double high = dimension(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(head_dim - 1));
  if (low == high) high += 0.001;

  RopeFrequencies result;
  for (int32_t i = 0; i < pairs; ++i) {
    const double extrapolated = std::pow(rope.theta, -2.0 * i / head_dim);
    const double interpolated = extrapolated / rope.factor;
    const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
    result.inv_freq.push_back(static_cast<float>(interpolated * ramp + extrapolated * (1.0 - ramp)));
  }
  const double concentration = rope.attention_factor > 0.0 ? rope.attention_factor
                               : rope.factor > 1.0         ? 0.1 * std::log(rope.factor) + 1.0
                                                           : 1.0;
  result.concentration = static_cast<float>(concentration);
  return result;
}

void RopeCosSin(const RopeFrequencies& frequencies, int64_t position, float* cos_out, float* sin_out) {
  for (size_t i = 0; i < frequencies.inv_freq.size(); ++i) {
    const float angle = static_cast<float>(position) * frequencies.inv_freq[i];
    cos_out[i] = static_cast<float>(std::cos(static_cast<double>(angle))) * frequencies.concentration;
    sin_out[i] = static_cast<float>(std::sin(static_cast<double>(angle))) * frequencies.concentration;
  }
}

}  // namespace oxidized
