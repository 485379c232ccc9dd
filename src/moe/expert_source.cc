#include "moe/expert_source.h"

namespace oxidized {

ResidentExperts::ResidentExperts(const WeightsView& weights) : weights_(weights) {
  for (const LayerWeights& layer : weights.layers) {
    ready_.reserve(layer.gate_up.size());
    last_use_.emplace_back(layer.gate_up.size(), 0);
  }
}

void ResidentExperts::Request(int32_t layer, std::span<const int32_t> experts) {
  if (layer == 0) ++steps_;
  const auto l = static_cast<size_t>(layer);
  ready_.clear();
  for (const int32_t expert : experts) {
    const auto e = static_cast<size_t>(expert);
    ready_.push_back(
        {static_cast<int32_t>(ready_.size()), &weights_.layers[l].gate_up[e], &weights_.layers[l].down[e]});
    last_use_[l][e] = steps_;
  }
  taken_ = false;
}

std::span<const ReadyExpert> ResidentExperts::TakeReady() {
  if (taken_) return {};
  taken_ = true;
  return ready_;
}

}  // namespace oxidized
