// The last tokens, and the course of all of them: what RoutingStats, which only sums, cannot say. Observers;
// memory is taken once, at construction.
#pragma once

#include <cstdint>
#include <vector>

#include "moe/routing_stats.h"

namespace oxidized {

// A ring of the last `capacity` tokens as they were observed, logits included, so that statistics over it are
// exactly those of a RoutingStats that saw nothing else. Adding copies; the work is done when somebody asks.
class RoutingWindow final : public RoutingObserver {
 public:
  RoutingWindow(const RoutingShape& shape, int32_t capacity_tokens);

  void OnRows(const ObservedRows& rows) override;
  int64_t tokens() const;  // in the window now
  int32_t capacity() const { return capacity_; }
  RoutingStats Stats() const;  // detailed
  int64_t bytes() const;

 private:
  void AddRun(int32_t begin, int32_t end, RoutingStats& stats) const;  // of one phase

  RoutingShape shape_;
  int32_t capacity_;
  int64_t seen_ = 0;
  bool logits_ = false;                      // whether rows came with logits
  std::vector<RoutingPhase> phase_;          // [W]
  std::vector<int32_t> experts_;             // [L, W, K]
  std::vector<uint8_t> dropped_, rerouted_;  // [L, W]
  std::vector<float> router_;                // [L, W, E]
};

// Choices per layer and expert over time: at most kBins bins of equally many tokens; when they are full, two
// become one.
class RoutingTimeline final : public RoutingObserver {
 public:
  static constexpr int32_t kBins = 64;
  explicit RoutingTimeline(const RoutingShape& shape);

  bool wants_logits() const override { return false; }
  void OnRows(const ObservedRows& rows) override;

  int64_t tokens_per_bin() const { return tokens_per_bin_; }
  int32_t bins() const;  // begun
  int64_t tokens(int32_t bin) const { return tokens_[static_cast<size_t>(bin)]; }
  int64_t prefill_tokens(int32_t bin) const { return prefill_[static_cast<size_t>(bin)]; }
  std::span<const uint32_t> counts(int32_t bin, int32_t layer) const;  // [E]

 private:
  std::span<uint32_t> Bin(int32_t bin);  // [L, E]
  void Halve();

  RoutingShape shape_;
  int64_t tokens_per_bin_ = 1;
  int64_t seen_ = 0;
  std::vector<int64_t> tokens_, prefill_;  // [kBins]
  std::vector<uint32_t> counts_;           // [kBins, L, E]
};

}  // namespace oxidized
