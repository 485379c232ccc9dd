#include "moe/access_stream.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "moe/routing_stats.h"

namespace oxidized {

AccessStream::AccessStream(const TraceHeader& header)
    : shape_(header.shape),
      expert_bytes_(header.expert_bytes),
      pending_(static_cast<size_t>(header.shape.num_layers)) {}

void AccessStream::Add(const TraceRecord& record) {
  if (tokens_ > 0 && record.step != step_) Finish();
  step_ = record.step;
  ++tokens_;
  const auto k = static_cast<size_t>(shape_.experts_per_token);
  for (size_t i = 0; i < record.experts.size(); ++i) {
    if (record.experts[i] < 0) continue;
    std::vector<uint16_t>& experts = pending_[i / k];
    const auto expert = static_cast<uint16_t>(record.experts[i]);
    if (std::find(experts.begin(), experts.end(), expert) == experts.end()) experts.push_back(expert);
  }
}

void AccessStream::Finish() {
  ++steps_;
  for (size_t l = 0; l < pending_.size(); ++l) {
    if (pending_[l].empty()) continue;
    if (experts_.size() + pending_[l].size() > std::numeric_limits<uint32_t>::max())
      Fail(ErrorKind::kBadFile, "the trace has more than 2^32 uses of experts, too many to simulate");
    std::sort(pending_[l].begin(), pending_[l].end());
    const auto begin = static_cast<uint32_t>(experts_.size());
    experts_.insert(experts_.end(), pending_[l].begin(), pending_[l].end());
    requests_.push_back({static_cast<int32_t>(l), begin, static_cast<uint32_t>(experts_.size())});
    pending_[l].clear();
  }
}

AccessStream ReadAccesses(const TraceReader& trace) {
  AccessStream stream(trace.header());
  TraceRecord record;
  for (int64_t i = 0; i < trace.size(); ++i) {
    trace.Read(i, record);
    stream.Add(record);
  }
  if (trace.size() > 0) stream.Finish();
  return stream;
}

std::optional<SyntheticRouting> ParseSyntheticRouting(std::string_view text) {
  using Kind = SyntheticRouting::Kind;
  constexpr struct {
    std::string_view name;
    Kind kind;
    double low, high;  // of the parameter; none: both 0
  } kRows[] = {{"uniform", Kind::kUniform, 0, 0},
               {"zipf", Kind::kZipf, 0, 100},
               {"sticky", Kind::kSticky, 0, 1},
               {"all-to-one", Kind::kAllToOne, 0, 0}};
  const size_t colon = text.find(':');
  for (const auto& row : kRows) {
    if (text.substr(0, colon) != row.name) continue;
    const bool wanted = row.high > 0;
    if (wanted != (colon != std::string_view::npos)) return std::nullopt;
    SyntheticRouting routing{row.kind, 0.0};
    if (!wanted) return routing;
    const std::string_view number = text.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), routing.parameter);
    if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
    if (!(routing.parameter >= row.low && routing.parameter <= row.high)) return std::nullopt;
    return routing;
  }
  return std::nullopt;
}

SyntheticTokens::SyntheticTokens(const SyntheticRouting& routing, const TraceHeader& header, uint64_t seed)
    : routing_(routing), header_(header), seed_(seed) {
  const auto layers = static_cast<size_t>(header.shape.num_layers);
  const auto experts = static_cast<size_t>(header.shape.num_experts);
  bias_.assign(layers * experts, 0.0f);
  last_.assign(layers * static_cast<size_t>(header.shape.experts_per_token), -1);
  logits_.resize(experts);
  if (routing.kind == SyntheticRouting::Kind::kUniform || routing.kind == SyntheticRouting::Kind::kSticky)
    return;
  for (size_t l = 0; l < layers; ++l) {
    std::vector<std::pair<double, size_t>> order;  // a random ranking
    for (size_t e = 0; e < experts; ++e) order.emplace_back(RandomUniform(seed, l, e), e);
    std::sort(order.begin(), order.end());
    for (size_t rank = 0; rank < experts; ++rank) {
      // Noise of the Gumbel distribution on logits log w_e makes the K highest a sample without replacement
      // by the weights w_e. All-to-one lies too far apart for noise to matter.
      const double bias = routing.kind == SyntheticRouting::Kind::kZipf
                              ? -routing.parameter * std::log(static_cast<double>(rank + 1))
                              : -100.0 * static_cast<double>(rank);
      bias_[l * experts + order[rank].second] = static_cast<float>(bias);
    }
  }
}

void SyntheticTokens::Next(TraceRecord& record) {
  const auto layers = static_cast<size_t>(header_.shape.num_layers);
  const auto experts = static_cast<size_t>(header_.shape.num_experts);
  const auto k = static_cast<size_t>(header_.shape.experts_per_token);
  record.Resize(header_);
  record.sequence = 1;
  record.step = record.position = static_cast<uint32_t>(token_);
  record.token = 0;
  record.phase = RoutingPhase::kDecode;
  RoutingPolicy policy;
  policy.experts_per_token = header_.shape.experts_per_token;
  policy.num_experts = header_.shape.usable_experts;
  for (size_t l = 0; l < layers; ++l) {
    const uint64_t stream = (uint64_t{1} << 32) + l;  // apart from those of the rankings
    const auto first = static_cast<uint64_t>(token_) * 2 * experts;
    for (size_t e = 0; e < experts; ++e) {
      const double uniform = RandomUniform(seed_, stream, first + e);
      logits_[e] = bias_[l * experts + e] - static_cast<float>(std::log(-std::log(uniform + 0x1.0p-54)));
    }
    if (routing_.kind == SyntheticRouting::Kind::kSticky) {
      for (size_t i = l * k; i < (l + 1) * k; ++i) {
        const bool stays =
            last_[i] >= 0 && RandomUniform(seed_, stream, first + experts + i - l * k) < routing_.parameter;
        if (stays) logits_[static_cast<size_t>(last_[i])] += 100.0f;
      }
    }
    Route(policy, header_.shape.experts_per_token, logits_, header_.shape.num_experts,
          {header_.shape.experts_per_token, std::span(record.experts).subspan(l * k, k),
           std::span(record.weights).subspan(l * k, k), std::span(record.dropped).subspan(l, 1),
           std::span(record.rerouted).subspan(l, 1)});
    record.margins[l] =
        RouterMargin(std::span(logits_).first(static_cast<size_t>(header_.shape.usable_experts)),
                     header_.shape.experts_per_token);
    if (header_.logits)
      std::copy(logits_.begin(), logits_.end(), record.logits.begin() + static_cast<ptrdiff_t>(l * experts));
  }
  last_ = record.experts;
  ++token_;
}

}  // namespace oxidized
