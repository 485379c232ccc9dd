#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/rng.h"

namespace oxidized {
namespace {

constexpr uint64_t kSamplingStream = 1;

// log(sum(exp(logits))), in double.
double LogSumExp(std::span<const float> logits, float highest) {
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  return highest + std::log(sum);
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

  candidates_.clear();
  candidates_.reserve(logits.size());
  const bool penalized = history != nullptr && params.needs_history();
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<int32_t>(i);
    if (mask != nullptr && !mask->allows(token)) continue;
    candidates_.push_back({penalized ? Penalize(logits[i], history->counts()[i], params) : logits[i], token});
  }
  OX_CHECK(!candidates_.empty());  // masks come from the tokenizer or a grammar and always allow something
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
    for (size_t i = 0; i < logits.size(); ++i) candidates_.push_back({logits[i], static_cast<int32_t>(i)});
    const auto count = std::min(static_cast<size_t>(top_logprobs), candidates_.size());
    std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(count),
                      candidates_.end(), Before);
    for (size_t i = 0; i < count; ++i)
      out.top.push_back({candidates_[i].token, logprob(candidates_[i].token)});
  }
}

int32_t Sampler::Draw(const SamplingParams& params, double uniform) {
  if (params.temperature <= 0.0)
    return std::min_element(candidates_.begin(), candidates_.end(), Before)->token;

  const size_t total = candidates_.size();
  size_t keep = params.top_k > 0 ? std::min(static_cast<size_t>(params.top_k), total) : total;
  const float highest = std::min_element(candidates_.begin(), candidates_.end(), Before)->logit;
  const auto weight = [&](const Candidate& c) {
    return std::exp((static_cast<double>(c.logit) - highest) / params.temperature);
  };

  if (keep < total) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(keep),
                     candidates_.end(), Before);
    candidates_.resize(keep);
  }
  if (params.top_p < 1.0) {
    // Mass over what top-k left; then sort only as much of the head as top-p needs.
    double mass = 0.0;
    for (const Candidate& c : candidates_) mass += weight(c);
    const double target = params.top_p * mass;
    double reached = 0.0;
    size_t sorted = 0, needed = 0;
    while (needed < keep && reached < target) {
      if (needed == sorted) {
        sorted = std::min(keep, std::max<size_t>(256, sorted * 8));
        std::partial_sort(candidates_.begin() + static_cast<ptrdiff_t>(needed),
                          candidates_.begin() + static_cast<ptrdiff_t>(sorted), candidates_.end(), Before);
      }
      reached += weight(candidates_[needed++]);
    }
    keep = std::max<size_t>(needed, 1);
    candidates_.resize(keep);
  }
  if (params.min_p > 0.0) {
    std::erase_if(candidates_,
                  [&](const Candidate& c) { return weight(c) < params.min_p; });  // the highest weighs 1
  }

  weights_.clear();
  weights_.reserve(total);
  double mass = 0.0;
  for (const Candidate& c : candidates_) weights_.push_back(mass += weight(c));
  const auto chosen = std::upper_bound(weights_.begin(), weights_.end(), uniform * mass);
  const auto index = std::min(static_cast<size_t>(chosen - weights_.begin()), candidates_.size() - 1);
  return candidates_[index].token;
}

}  // namespace oxidized
