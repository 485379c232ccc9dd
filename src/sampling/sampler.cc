#include "sampling/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"
#include "base/rng.h"

namespace oxidized {
namespace {

constexpr uint64_t kSamplingStream = 1;

constexpr float kMasked = -std::numeric_limits<float>::infinity();

// exp(x) for x <= 0, to about 1e-15: as a plain function of arithmetic a compiler can vectorise it, which
// over a vocabulary of 200,000 is most of the time of a draw. Below -700 it is exp(-700).
double ExpOfNegative(double x) {
  constexpr double kRound = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  x = std::max(x, -700.0);
  const double shifted = x * std::numbers::log2e + kRound;
  const double k = shifted - kRound;
  const double r =
      (x - k * 0x1.62e42fefa38p-1) - k * 0x1.ef35793c7673p-45;  // ln 2 in two parts, |r| <= 0.347
  double p = 1.0 / 479001600.0;                                 // Taylor to r^12 / 12!
  for (const double coefficient :
       {1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0, 1.0 / 720.0,
        1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0}) {
    p = p * r + coefficient;
  }
  return std::bit_cast<double>(std::bit_cast<uint64_t>(p) + (std::bit_cast<uint64_t>(shifted) << 52));
}

// log(sum(exp(logits))), in double.
double LogSumExp(std::span<const float> logits, float highest) {
  double sum = 0.0;
  for (const float logit : logits)
    sum += ExpOfNegative(static_cast<double>(logit) - static_cast<double>(highest));
  return static_cast<double>(highest) + std::log(sum);
}

// Highest logit, or NaN if any is NaN or infinite.
float FiniteMax(std::span<const float> logits) {
  float highest = -std::numeric_limits<float>::infinity();
  bool finite = true;
  for (const float logit : logits) {
    finite &= std::isfinite(logit);
    highest = std::max(highest, logit);
  }
  return finite ? highest : std::numeric_limits<float>::quiet_NaN();
}

float Penalize(float logit, int32_t count, const SamplingParams& params) {
  if (count == 0) return logit;
  double value = logit;
  value = value > 0.0 ? value / params.repetition_penalty : value * params.repetition_penalty;
  value -= params.presence_penalty + params.frequency_penalty * count;
  return static_cast<float>(value);
}

}  // namespace

void TokenHistory::Reset(int32_t vocab_size, std::span<const int32_t> tokens) {
  counts_.assign(static_cast<size_t>(vocab_size), 0);
  for (const int32_t token : tokens) Add(token);
}

void Sampler::Sample(std::span<const float> logits, const SamplingParams& params, const TokenMask* mask,
                     const TokenHistory* history, int64_t position, int32_t top_logprobs, int32_t score_token,
                     SampledToken& out) {
  out.top.clear();
  const float highest = FiniteMax(logits);
  out.finite = !std::isnan(highest);
  if (!out.finite) return;

  values_.assign(logits.begin(), logits.end());
  if (history != nullptr && params.needs_history()) {
    for (size_t i = 0; i < values_.size(); ++i)
      values_[i] = Penalize(values_[i], history->counts()[i], params);
  }
  if (mask != nullptr) {
    for (size_t i = 0; i < values_.size(); ++i) {
      if (!mask->allows(static_cast<int32_t>(i))) values_[i] = kMasked;
    }
  }
  out.token = Draw(params, RandomUniform(params.seed, kSamplingStream, static_cast<uint64_t>(position)));

  if (top_logprobs < 0 && score_token < 0) return;  // a pass of exponentials over the vocabulary saved
  const double normalizer = LogSumExp(logits, highest);
  const auto logprob = [&](int32_t token) {
    return static_cast<float>(logits[static_cast<size_t>(token)] - normalizer);
  };
  out.logprob = logprob(out.token);
  if (score_token >= 0) out.score = logprob(score_token);
  if (top_logprobs > 0) {
    candidates_.clear();
    for (size_t i = 0; i < logits.size(); ++i)
      candidates_.push_back({0.0, logits[i], static_cast<int32_t>(i)});
    const auto count = std::min(static_cast<size_t>(top_logprobs), candidates_.size());
    std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(count),
                      candidates_.end(), Before);
    for (size_t i = 0; i < count; ++i)
      out.top.push_back({candidates_[i].token, logprob(candidates_[i].token)});
  }
}

int32_t Sampler::Draw(const SamplingParams& params, double uniform) {
  const auto best = std::max_element(values_.begin(), values_.end());  // the first of equals
  OX_CHECK(*best != kMasked);  // masks come from the tokenizer or a grammar and always allow something
  if (params.temperature <= 0.0) return static_cast<int32_t>(best - values_.begin());

  const double highest = static_cast<double>(*best), scale = 1.0 / params.temperature;
  weights_.resize(values_.size());
  for (size_t i = 0; i < values_.size(); ++i) {
    const double weight = ExpOfNegative((static_cast<double>(values_[i]) - highest) * scale);
    weights_[i] = values_[i] == kMasked ? 0.0 : weight;
  }

  candidates_.clear();
  const bool top_k = params.top_k > 0 && static_cast<size_t>(params.top_k) < values_.size();
  if (top_k) KeepTopK(static_cast<size_t>(params.top_k));
  if (params.top_p < 1.0) KeepTopP(params.top_p, !top_k);
  if (candidates_.empty()) {  // nothing was cut: walk the vocabulary itself
    double mass = 0.0, reached = 0.0;
    for (const double weight : weights_) mass += weight >= params.min_p ? weight : 0.0;
    size_t last = static_cast<size_t>(best - values_.begin());
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] < params.min_p || weights_[i] == 0.0) continue;
      last = i;
      reached += weights_[i];
      if (reached > uniform * mass) break;
    }
    return static_cast<int32_t>(last);
  }
  // The highest weighs 1, so min-p never drops everything.
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < params.min_p; });
  double mass = 0.0, reached = 0.0;
  for (const Candidate& c : candidates_) mass += c.weight;
  for (const Candidate& c : candidates_) {
    reached += c.weight;
    if (reached > uniform * mass) return c.token;
  }
  return candidates_.back().token;
}

void Sampler::KeepTopK(size_t k) {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i] != kMasked) candidates_.push_back({weights_[i], values_[i], static_cast<int32_t>(i)});
  }
  if (k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k), candidates_.end(),
                     Before);
    candidates_.resize(k);
  }
  std::sort(candidates_.begin(), candidates_.end(), Before);
}

// The smallest head of the sorted candidates whose mass reaches top_p of all. Only tokens that may belong to
// it are collected and sorted: those above a threshold that is lowered until they weigh enough.
void Sampler::KeepTopP(double top_p, bool all_are_candidates) {
  double mass = 0.0;
  if (all_are_candidates) {
    for (const double weight : weights_) mass += weight;
  } else {
    for (const Candidate& c : candidates_) mass += c.weight;
  }
  const double target = top_p * mass;
  for (double threshold = 0x1p-8; all_are_candidates; threshold *= 0x1p-8) {
    double collected = 0.0;
    for (const double weight : weights_) collected += weight >= threshold ? weight : 0.0;
    if (collected < target && threshold > 0x1p-1000) continue;
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] >= threshold) candidates_.push_back({weights_[i], values_[i], static_cast<int32_t>(i)});
    }
    std::sort(candidates_.begin(), candidates_.end(), Before);
    break;
  }
  double reached = 0.0;
  size_t kept = 0;
  while (kept < candidates_.size() && reached < target) reached += candidates_[kept++].weight;
  candidates_.resize(std::max<size_t>(kept, 1));
}

}  // namespace oxidized
