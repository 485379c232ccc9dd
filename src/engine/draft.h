// Guesses of what a sequence will say next, from what it has said: the longest n-gram at its end that
// occurred before, and what followed there (prompt lookup). No model, no timing: the same tokens give the
// same guesses. Whether a guess is worth a row of a step is for engine/speculation.h, whether it is right for
// the executor.
//
// It also keeps how often guesses came true. That costs nothing: every new token is compared with what would
// have been guessed, whether the guess was tried or not.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace oxidized {

class DraftSource {
 public:
  // `most_tokens` the sequence will ever have (memory is reserved for them); guesses follow matches of at
  // least `min_match` tokens, 1 .. kLongestMatch.
  DraftSource(int64_t most_tokens, int32_t min_match);

  // `tokens`: all of the sequence; those of earlier calls are still its beginning. Guesses are compared with
  // tokens from position `learn_from` on (those before it were given, not generated). A bounded number of
  // operations for each new token.
  void Extend(std::span<const int32_t> tokens, int64_t learn_from);

  // Tokens at the end that occurred before, followed by what is guessed; 0: nothing to guess.
  int32_t match() const { return match_; }
  // How likely the first guess is right after such a match, as far as seen.
  double Likelihood(int32_t match) const { return likelihood_[ClassOf(match)].value; }
  // The next `count` guesses; match() must not be 0. `tokens` as last given to Extend. A match that reaches
  // to the end goes on with its own guesses (a loop).
  void Propose(std::span<const int32_t> tokens, int32_t count, std::vector<int32_t>& guesses) const;

  static constexpr int32_t kLongestMatch = 32;  // longer ones count as this

 private:
  // Matches up to 4, 8, 16 tokens, and longer ones. Before anything was seen short matches are not trusted.
  static constexpr size_t kClasses = 4;
  struct Estimate {
    double value;
    int32_t seen = 0;
  };
  static size_t ClassOf(int32_t match);

  size_t Bucket(std::span<const int32_t> tokens, int64_t end) const;
  void Find(std::span<const int32_t> tokens, int64_t end, bool follow);
  int32_t MatchLength(std::span<const int32_t> tokens, int64_t earlier, int64_t end) const;

  int32_t min_match_;
  std::vector<int32_t> newest_;  // [power of two] by the hash of min_match tokens: where the newest ended; -1
  std::vector<int32_t> earlier_;  // [tokens + 1] by end: the end of the one before in the same bucket; -1
  int64_t source_ = 0;            // position of the first guess
  int32_t match_ = 0;
  std::array<Estimate, kClasses> likelihood_ = {{{0.3}, {0.5}, {0.7}, {0.85}}};
};

}  // namespace oxidized
