// What an executor's stages cost, summed: which of them belong to the mixture of experts, and what of it they
// are. For the routing report and for `bench moe`.
#pragma once

#include <cstdint>

#include "engine/engine.h"

namespace oxidized {

struct StageSum {
  double microseconds = 0.0, bytes = 0.0, flops = 0.0;
  void Add(const StageCost& cost) {
    microseconds += cost.microseconds;
    bytes += static_cast<double>(cost.bytes);
    flops += static_cast<double>(cost.flops);
  }
  void Add(const StageSum& other) {
    microseconds += other.microseconds;
    bytes += other.bytes;
    flops += other.flops;
  }
};

struct StageParts {
  StageSum routing;  // the router's product and the choice
  StageSum experts;  // both expert products
  StageSum combine;  // their weighted sum
  StageSum all;      // every stage, attention and the rest too
};
StageParts PartsOf(const StageTotals& totals);

}  // namespace oxidized
