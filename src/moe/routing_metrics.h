// The figures of docs/moe.md, made of the sums of routing_stats.h. Pure functions; what has no data is 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe/routing_stats.h"

namespace oxidized {

// How evenly the experts of a layer are used.
struct LoadBalance {
  int64_t choices = 0;
  int32_t busiest = 0;  // the expert with most choices, the lowest id on ties
  int64_t busiest_choices = 0;
  int32_t idle = 0;            // experts without a choice
  double max_over_mean = 0.0;  // 1: even; E: all on one
  double variation = 0.0;      // standard deviation over mean; 0: even
  double gini = 0.0;           // 0: even; 1 - 1/E: all on one
  double entropy = 0.0;        // of the shares, as a part of ln E; 1: even, 0: all on one
};
LoadBalance BalanceOf(std::span<const int64_t> counts);

struct LayerFigures {
  LoadBalance balance;
  // From the logits:
  double switch_loss = 0.0;     // E sum f_i P_i; 1: even; f share of choices, P mean probability
  double router_entropy = 0.0;  // mean over tokens, as a part of ln(experts that may be chosen)
  double mean_margin = 0.0;
  double smallest_margin = 0.0;  // infinity: no token has one
};
// `usable`: the experts that may be chosen.
LayerFigures FiguresOf(const LayerRouting& layer, int32_t usable);

struct ExpertFigures {
  double share = 0.0;        // of the layer's choices
  double frequency = 0.0;    // of the layer's tokens that used it
  double probability = 0.0;  // mean over tokens
};
ExpertFigures FiguresOf(const LayerRouting& layer, size_t expert);

struct PairFigures {
  int32_t a = 0, b = 0;  // a < b
  int64_t tokens = 0;    // served by both
  double lift = 0.0;     // tokens over what pairing experts at random by their frequencies would give
};
// The `count` pairs that most tokens used, most first.
std::vector<PairFigures> TopPairs(const LayerRouting& layer, size_t count);

// Layers by descending coefficient of variation, the lowest id first on ties.
std::vector<int32_t> WorstBalancedFirst(std::span<const LayerRouting> layers);

}  // namespace oxidized
