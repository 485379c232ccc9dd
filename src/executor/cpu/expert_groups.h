// The rows that each expert serves in one layer of a step: routing turned from "experts of a token" into
// "tokens of an expert", so that every expert's weights are read once however many tokens chose it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe/routing_policy.h"

namespace oxidized {

class ExpertGroups {
 public:
  struct Group {
    int32_t expert;
    std::span<const int32_t> tokens;  // row of the batch of each choice, ascending
    std::span<const int32_t> places;  // token * stride + rank of each choice
  };

  // Allocates only when E or T * stride grows.
  void Build(const RoutedRows& routed, int32_t num_experts) {
    begin_.assign(static_cast<size_t>(num_experts) + 1, 0);
    for (const int32_t e : routed.experts) {
      if (e >= 0) ++begin_[static_cast<size_t>(e) + 1];
    }
    groups_.clear();
    for (size_t e = 0; e < static_cast<size_t>(num_experts); ++e) begin_[e + 1] += begin_[e];
    tokens_.resize(routed.experts.size());
    places_.resize(routed.experts.size());
    cursor_.assign(begin_.begin(), begin_.end() - 1);
    for (size_t i = 0; i < routed.experts.size(); ++i) {
      if (routed.experts[i] < 0) continue;
      const auto at = static_cast<size_t>(cursor_[static_cast<size_t>(routed.experts[i])]++);
      places_[at] = static_cast<int32_t>(i);
      tokens_[at] = static_cast<int32_t>(i) / routed.stride;
    }
    for (int32_t e = 0; e < num_experts; ++e) {
      const auto from = static_cast<size_t>(begin_[static_cast<size_t>(e)]);
      const auto count = static_cast<size_t>(begin_[static_cast<size_t>(e) + 1]) - from;
      if (count == 0) continue;
      groups_.push_back(
          {e, std::span(tokens_).subspan(from, count), std::span(places_).subspan(from, count)});
    }
  }

  std::span<const Group> groups() const { return groups_; }
  int64_t choices() const { return begin_.empty() ? 0 : begin_.back(); }

 private:
  std::vector<int32_t> begin_, cursor_, tokens_, places_;
  std::vector<Group> groups_;
};

}  // namespace oxidized
