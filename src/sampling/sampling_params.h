// How the next token is chosen from logits. The order of the steps is fixed: mask, penalties (over prompt and
// answer), temperature, top-k, top-p, min-p, draw. Every default leaves the distribution as it is.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace oxidized {

struct SamplingParams {
  double temperature = 1.0;  // 0 is greedy: the highest logit, lowest id on ties
  int32_t top_k = 0;         // 0: off
  double top_p = 1.0;        // smallest set of most likely tokens whose mass reaches top_p
  double min_p = 0.0;        // drop tokens below min_p times the most likely one
  double repetition_penalty =
      1.0;  // divides positive, multiplies negative logits of tokens seen (Keskar et al. 2019)
  double presence_penalty = 0.0;   // subtracted once from a token seen
  double frequency_penalty = 0.0;  // subtracted once for each time it was seen
  uint64_t seed = 0;               // with the position it determines the draw, whatever the batch

  bool needs_history() const {
    return repetition_penalty != 1.0 || presence_penalty != 0.0 || frequency_penalty != 0.0;
  }
};

// The set of token ids that may be sampled, [V] bits.
class TokenMask {
 public:
  TokenMask() = default;
  TokenMask(int32_t vocab_size, bool allowed)
      : size_(vocab_size), bits_(static_cast<size_t>(vocab_size + 63) / 64, allowed ? ~uint64_t{0} : 0) {}
  bool allows(int32_t id) const {
    return id < size_ && ((bits_[static_cast<size_t>(id) / 64] >> (id % 64)) & 1) != 0;
  }
  void Set(int32_t id, bool allowed) {
    const uint64_t bit = uint64_t{1} << (id % 64);
    uint64_t& word = bits_[static_cast<size_t>(id) / 64];
    word = allowed ? word | bit : word & ~bit;
  }
  int32_t size() const { return size_; }
  // Bit i % 64 of word i / 64 is id i's; those from size() on mean nothing.
  std::span<const uint64_t> words() const { return bits_; }

 private:
  int32_t size_ = 0;
  std::vector<uint64_t> bits_;
};

}  // namespace oxidized
