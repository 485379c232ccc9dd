// One row of logits to one token. Used inside every executor's step; deterministic in (logits, parameters,
// history, mask, position) and in nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/sampling_params.h"

namespace oxidized {

struct TokenLogprob {
  int32_t token;
  float logprob;  // log-softmax of the raw logits: before mask, penalties and temperature
};

struct SampledToken {
  int32_t token = -1;
  float logprob = 0.0f;
  std::vector<TokenLogprob> top;  // the most likely tokens, descending, lowest id first on ties
  float score = 0.0f;             // log-probability of the token that was to be scored, if any
  bool finite = true;             // false: a logit was NaN or infinite, the other fields mean nothing
  bool empty_mask = false;        // true: the mask allowed nothing, the other fields mean nothing
};

// How often each token was fed to a sequence: what penalties need. Kept by the executor for each slot.
class TokenHistory {
 public:
  void Reset(int32_t vocab_size, std::span<const int32_t> tokens);
  void Add(int32_t token) { ++counts_[static_cast<size_t>(token)]; }
  std::span<const int32_t> counts() const { return counts_; }  // [V]

 private:
  std::vector<int32_t> counts_;
};

class Sampler {
 public:
  // `logits` [V] raw. `mask` and `history` may be null (history only if !params.needs_history()). `position`
  // is that of the token drawn. `score_token` < 0: nothing to score. No allocation after the first call but
  // in `out.top`.
  void Sample(std::span<const float> logits, const SamplingParams& params, const TokenMask* mask,
              const TokenHistory* history, int64_t position, int32_t top_logprobs, int32_t score_token,
              SampledToken& out);

 private:
  // What may be drawn, in an order that depends on the row alone. `value`: after mask, penalties; `weight`:
  // exp((value - highest) / temperature).
  struct Candidate {
    double weight;
    float value;
    int32_t token;
  };
  static bool Before(const Candidate& a, const Candidate& b) {
    return a.value > b.value || (a.value == b.value && a.token < b.token);
  }
  int32_t Draw(const SamplingParams& params, double uniform);
  void KeepTopK(size_t k);
  void KeepTopP(double top_p, bool all_are_candidates);

  std::vector<float> values_;    // [V] -infinity where masked
  std::vector<double> weights_;  // [V]
  std::vector<Candidate> candidates_;
};

}  // namespace oxidized
