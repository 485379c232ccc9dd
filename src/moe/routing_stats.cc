#include "moe/routing_stats.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace oxidized {
namespace {

template <typename T>
void AddEach(std::vector<T>& into, const std::vector<T>& from) {
  if (into.empty()) into.assign(from.size(), T{});
  for (size_t i = 0; i < from.size(); ++i) into[i] += from[i];
}

void AddPairs(std::span<const int32_t> experts, int32_t num_experts, std::vector<int64_t>& pairs) {
  for (size_t i = 0; i < experts.size(); ++i) {
    for (size_t j = i + 1; j < experts.size(); ++j) {
      const auto [a, b] = std::minmax(experts[i], experts[j]);
      if (a >= 0) ++pairs[PairIndex(a, b, num_experts)];
    }
  }
}

bool AllFinite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

const char* Name(RoutingPhase phase) { return phase == RoutingPhase::kPrefill ? "prefill" : "decode"; }

RoutingShape ShapeOf(const RoutingPolicy& policy, int32_t num_layers, int32_t num_experts, int32_t model_k) {
  const int32_t usable = UsableExperts(policy, num_experts);
  return {num_layers, num_experts, std::min(ExpertsPerToken(policy, model_k), usable), usable};
}

RoutingShape ShapeOf(const RoutingPolicy& policy, const ModelConfig& config) {
  RoutingShape shape = ShapeOf(policy, config.num_layers, config.most_experts(), config.experts_per_token);
  for (const LayerConfig& layer : config.layers) shape.layer_experts.push_back(layer.num_experts);
  return shape;
}

void RouterDetail::Add(const RouterDetail& other) {
  tokens += other.tokens;
  not_finite += other.not_finite;
  AddEach(probability, other.probability);
  entropy += other.entropy;
  margins += other.margins;
  margin += other.margin;
  smallest_margin = std::min(smallest_margin, other.smallest_margin);
  for (size_t i = 0; i < near_ties.size(); ++i) near_ties[i] += other.near_ties[i];
}

void LayerRouting::Add(const LayerRouting& other) {
  AddEach(counts, other.counts);
  AddEach(pairs, other.pairs);
  tokens += other.tokens;
  dropped += other.dropped;
  rerouted += other.rerouted;
  router.Add(other.router);
}

float RouterMargin(std::span<const float> logits, int32_t k) {
  if (!AllFinite(logits)) return std::numeric_limits<float>::quiet_NaN();
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  if (k >= static_cast<int32_t>(logits.size())) return std::numeric_limits<float>::infinity();
  // The k + 1 highest, descending, by insertion: most logits fall at the first comparison.
  float top[257];
  OX_CHECK(k >= 1 && k <= 256);
  std::fill_n(top, k + 1, kNone);
  for (const float logit : logits) {
    if (!(logit > top[k])) continue;
    int32_t place = k;
    for (; place > 0 && logit > top[place - 1]; --place) top[place] = top[place - 1];
    top[place] = logit;
  }
  return top[k - 1] - top[k];
}

void AddRouterDetail(std::span<const float> logits, int32_t k, RouterDetail& into) {
  if (!AllFinite(logits)) {
    ++into.not_finite;
    return;
  }
  // p_i = e_i / Z with e_i = exp(l_i - max); entropy = ln Z - sum p_i (l_i - max): one pass of exp, no
  // further log.
  thread_local std::vector<float> scaled;
  scaled.resize(logits.size());
  const float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0, weighted = 0.0;
  for (size_t e = 0; e < logits.size(); ++e) {
    const float below = logits[e] - highest;
    scaled[e] = std::exp(below);
    sum += scaled[e];
    weighted += static_cast<double>(scaled[e]) * below;
  }
  const double inverse = 1.0 / sum;
  for (size_t e = 0; e < logits.size(); ++e) into.probability[e] += scaled[e] * inverse;
  into.entropy += std::log(sum) - weighted * inverse;
  ++into.tokens;

  const float margin = RouterMargin(logits, k);
  if (!std::isfinite(margin)) return;
  ++into.margins;
  into.margin += margin;
  into.smallest_margin = std::min(into.smallest_margin, margin);
  for (size_t i = 0; i < kNearTieMargins.size(); ++i) into.near_ties[i] += margin < kNearTieMargins[i];
}

RoutingStats::RoutingStats(int32_t num_layers, int32_t num_experts, std::span<const int32_t> layer_experts) {
  for (auto& layers : phases_) {
    layers.resize(static_cast<size_t>(num_layers));
    for (size_t l = 0; l < layers.size(); ++l) {
      const int32_t experts = layer_experts.empty() ? num_experts : layer_experts[l];
      layers[l].counts.assign(static_cast<size_t>(experts), 0);
    }
  }
}

RoutingStats RoutingStats::Detailed(const RoutingShape& shape) {
  RoutingStats stats(shape.num_layers, shape.num_experts, shape.layer_experts);
  stats.detail_ = shape;
  for (auto& layers : stats.phases_) {
    for (LayerRouting& layer : layers) {
      const size_t experts = layer.counts.size();
      layer.pairs.assign(experts * (experts - 1) / 2, 0);
      layer.router.probability.assign(experts, 0.0);
    }
  }
  return stats;
}

void RoutingStats::Add(RoutingPhase phase, int32_t layer, const RoutedRows& rows,
                       std::span<const float> logits) {
  LayerRouting& into = phases_[static_cast<size_t>(phase)][static_cast<size_t>(layer)];
  for (const int32_t expert : rows.experts) {
    if (expert >= 0) ++into.counts[static_cast<size_t>(expert)];
  }
  into.tokens += static_cast<int64_t>(rows.dropped.size());
  for (const uint8_t dropped : rows.dropped) into.dropped += dropped;
  for (const uint8_t rerouted : rows.rerouted) into.rerouted += rerouted;
  if (!detail_) return;
  const auto stride = static_cast<size_t>(rows.stride);
  for (size_t at = 0; at < rows.experts.size(); at += stride)
    AddPairs(rows.experts.subspan(at, stride), static_cast<int32_t>(into.counts.size()), into.pairs);
  const auto usable = static_cast<size_t>(detail_->usable_of(static_cast<size_t>(layer)));
  for (size_t at = 0; at < logits.size(); at += static_cast<size_t>(detail_->num_experts))
    AddRouterDetail(logits.subspan(at, usable), detail_->experts_per_token, into.router);
}

void RoutingStats::Add(const ObservedRows& rows) {
  for (size_t l = 0; l < rows.layers.size(); ++l) {
    Add(rows.phase, static_cast<int32_t>(l), rows.layers[l],
        rows.logits.empty() ? std::span<const float>() : rows.logits[l]);
  }
}

void RoutingStats::Add(const RoutingStats& other) {
  if (phases_[0].empty()) {
    *this = other;
    return;
  }
  for (size_t p = 0; p < phases_.size(); ++p) {
    for (size_t l = 0; l < other.phases_[p].size(); ++l) phases_[p][l].Add(other.phases_[p][l]);
  }
}

std::vector<LayerRouting> RoutingStats::layers() const {
  std::vector<LayerRouting> sum = phases_[0];
  for (size_t l = 0; l < sum.size(); ++l) sum[l].Add(phases_[1][l]);
  return sum;
}

}  // namespace oxidized
