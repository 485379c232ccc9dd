#include "moe/routing_window.h"

#include <algorithm>

#include "base/error.h"

namespace oxidized {

RoutingWindow::RoutingWindow(const RoutingShape& shape, int32_t capacity_tokens)
    : shape_(shape), capacity_(capacity_tokens) {
  OX_CHECK(capacity_tokens > 0);
  const auto width = static_cast<size_t>(capacity_tokens);
  const size_t rows = width * static_cast<size_t>(shape.num_layers);
  phase_.resize(width);
  experts_.resize(rows * static_cast<size_t>(shape.experts_per_token));
  dropped_.resize(rows);
  rerouted_.resize(rows);
  router_.resize(rows * static_cast<size_t>(shape.num_experts));
}

int64_t RoutingWindow::tokens() const { return std::min<int64_t>(seen_, capacity_); }

int64_t RoutingWindow::bytes() const {
  return static_cast<int64_t>(phase_.size() + dropped_.size() + rerouted_.size() +
                              sizeof(int32_t) * experts_.size() + sizeof(float) * router_.size());
}

void RoutingWindow::OnRows(const ObservedRows& rows) {
  const auto count = static_cast<int64_t>(rows.tokens.size());
  const int32_t k = shape_.experts_per_token, e = shape_.num_experts;
  logits_ = !rows.logits.empty();
  for (int64_t r = std::max<int64_t>(0, count - capacity_); r < count; ++r) {
    const int64_t slot = (seen_ + r) % capacity_;
    phase_[static_cast<size_t>(slot)] = rows.phase;
    for (int32_t l = 0; l < shape_.num_layers; ++l) {
      const RoutedRows& from = rows.layers[static_cast<size_t>(l)];
      const int64_t place = l * int64_t{capacity_} + slot;
      // A step's rows may have more places than this policy uses.
      std::copy_n(from.experts.begin() + r * from.stride, k, experts_.begin() + place * k);
      dropped_[static_cast<size_t>(place)] = from.dropped[static_cast<size_t>(r)];
      rerouted_[static_cast<size_t>(place)] = from.rerouted[static_cast<size_t>(r)];
      if (logits_)
        std::copy_n(rows.logits[static_cast<size_t>(l)].begin() + r * e, e, router_.begin() + place * e);
    }
  }
  seen_ += count;
}

void RoutingWindow::AddRun(int32_t begin, int32_t end, RoutingStats& stats) const {
  const auto rows = static_cast<size_t>(end - begin), k = static_cast<size_t>(shape_.experts_per_token);
  const auto e = static_cast<size_t>(shape_.num_experts);
  for (int32_t l = 0; l < shape_.num_layers; ++l) {
    const size_t place = static_cast<size_t>(l) * static_cast<size_t>(capacity_) + static_cast<size_t>(begin);
    // RoutedRows is what executors write; here it is only read.
    const auto part = [place, rows](const auto& values, size_t width) {
      using T = typename std::decay_t<decltype(values)>::value_type;
      return std::span<T>(const_cast<T*>(values.data()) + place * width, rows * width);
    };
    stats.Add(phase_[static_cast<size_t>(begin)], l,
              {shape_.experts_per_token, part(experts_, k), {}, part(dropped_, 1), part(rerouted_, 1)},
              logits_ ? std::span<const float>(part(router_, e)) : std::span<const float>());
  }
}

RoutingStats RoutingWindow::Stats() const {
  RoutingStats stats = RoutingStats::Detailed(shape_);
  const auto filled = static_cast<int32_t>(tokens());
  for (int32_t begin = 0, end; begin < filled; begin = end) {
    for (end = begin + 1;
         end < filled && phase_[static_cast<size_t>(end)] == phase_[static_cast<size_t>(begin)];)
      ++end;
    AddRun(begin, end, stats);
  }
  return stats;
}

RoutingTimeline::RoutingTimeline(const RoutingShape& shape)
    : shape_(shape),
      tokens_(kBins),
      prefill_(kBins),
      counts_(static_cast<size_t>(kBins) * static_cast<size_t>(shape.num_layers) *
              static_cast<size_t>(shape.num_experts)) {}

int32_t RoutingTimeline::bins() const {
  return static_cast<int32_t>((seen_ + tokens_per_bin_ - 1) / tokens_per_bin_);
}

std::span<uint32_t> RoutingTimeline::Bin(int32_t bin) {
  const auto width = static_cast<size_t>(shape_.num_layers) * static_cast<size_t>(shape_.num_experts);
  return std::span(counts_).subspan(static_cast<size_t>(bin) * width, width);
}

std::span<const uint32_t> RoutingTimeline::counts(int32_t bin, int32_t layer) const {
  const auto e = static_cast<size_t>(shape_.num_experts);
  const size_t row =
      static_cast<size_t>(bin) * static_cast<size_t>(shape_.num_layers) + static_cast<size_t>(layer);
  return std::span(counts_).subspan(row * e,
                                    static_cast<size_t>(shape_.experts_of(static_cast<size_t>(layer))));
}

void RoutingTimeline::Halve() {
  for (int32_t bin = 0; bin < kBins; ++bin) {
    const auto from = Bin(bin), into = Bin(bin / 2);
    const auto b = static_cast<size_t>(bin), half = b / 2;
    if (bin % 2 == 1) {
      for (size_t i = 0; i < from.size(); ++i) into[i] += from[i];
      tokens_[half] += tokens_[b];
      prefill_[half] += prefill_[b];
    } else if (bin > 0) {
      std::copy(from.begin(), from.end(), into.begin());
      tokens_[half] = tokens_[b];
      prefill_[half] = prefill_[b];
    }
  }
  for (int32_t bin = kBins / 2; bin < kBins; ++bin) {
    std::fill(Bin(bin).begin(), Bin(bin).end(), 0u);
    tokens_[static_cast<size_t>(bin)] = prefill_[static_cast<size_t>(bin)] = 0;
  }
  tokens_per_bin_ *= 2;
}

void RoutingTimeline::OnRows(const ObservedRows& rows) {
  const auto e = static_cast<size_t>(shape_.num_experts);
  for (size_t r = 0; r < rows.tokens.size(); ++r, ++seen_) {
    if (seen_ == kBins * tokens_per_bin_) Halve();
    const auto bin = static_cast<int32_t>(seen_ / tokens_per_bin_);
    ++tokens_[static_cast<size_t>(bin)];
    prefill_[static_cast<size_t>(bin)] += rows.phase == RoutingPhase::kPrefill;
    const std::span<uint32_t> counts = Bin(bin);
    for (size_t l = 0; l < rows.layers.size(); ++l) {
      const auto stride = static_cast<size_t>(rows.layers[l].stride);
      for (const int32_t expert : rows.layers[l].experts.subspan(r * stride, stride)) {
        if (expert >= 0) ++counts[l * e + static_cast<size_t>(expert)];
      }
    }
  }
}

}  // namespace oxidized
