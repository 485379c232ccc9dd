// One row of logits to one token. Used inside every executor's step; deterministic in (logits, parameters,
// history, mask, position) and in nothing else. What is computed is defined in sampling_math.h; here it is
// found by searches and sums that suit a CPU.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/sampling_math.h"
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

// The parameters in a device's numbers; what is out of their range goes to its nearest end.
SamplingNumbers SamplingNumbersOf(const SamplingParams& params);

class Sampler {
 public:
  // `logits` [V] raw, 1 to 2^24. `mask` and `history` may be null (history only if !params.needs_history()).
  // `position` is that of the token drawn. `score_token` < 0: nothing to score. No allocation after the first
  // calls but in `out.top`.
  void Sample(std::span<const float> logits, const SamplingParams& params, const TokenMask* mask,
              const TokenHistory* history, int64_t position, int32_t top_logprobs, int32_t score_token,
              SampledToken& out);

 private:
  // A row and what one pass over it finds; values in the order of sampling_math::ValueOrder.
  struct Row {
    std::span<const float> values;
    std::vector<int32_t> block_top;  // the highest of each kBlock values
    int32_t top = 0;                 // the highest of all
    float highest = 0.0f;            // its value
    bool finite = true;

    void Scan(std::span<const float> row);
    std::span<const float> Block(size_t block) const;
  };
  struct Candidate {
    uint64_t rank;
    float weight;
  };

  void ApplyPenaltiesAndMask(std::span<const float> logits, const SamplingNumbers& numbers,
                             const TokenHistory* history, const TokenMask* mask);
  int32_t Draw(const Row& row, const SamplingNumbers& numbers, int64_t position);
  int32_t DrawOfAll(const Row& row, const SamplingNumbers& numbers, int64_t position);
  uint64_t SumMasses(const Row& row, float inverse_temperature, float min_p);
  // candidates_, in the order of ids: every token from `bound` on, the k likeliest, the head of a top-p.
  void Collect(const Row& row, int32_t bound);
  void KeepTopK(const Row& row, size_t k);
  void KeepTopP(const Row& row, const SamplingNumbers& numbers, bool all_are_candidates);
  void Weigh(const Row& row, const SamplingNumbers& numbers);

  static constexpr size_t kBlock = 256;  // values summed in one go: their parts fit 32 bits

  Row raw_, changed_;
  std::vector<float> values_;         // [V] with penalties, -infinity where masked
  std::vector<uint64_t> block_mass_;  // as Row::block_top
  std::vector<Candidate> candidates_, selected_;
  std::vector<int32_t> block_order_;
};

}  // namespace oxidized
