// How many guessed tokens the decoding sequences take into the next step. A guess is a row more; if the
// tokens sampled turn out equal, one step gave several tokens. Results never depend on it: every row is
// sampled with the random numbers of its own position, and a row behind a wrong guess is thrown away
// (engine.cc: Advance). So this may go by the clock: it weighs the tokens to be expected against the measured
// time of a step of so many rows (with a mixture of experts, more rows touch more experts and cost more).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/sequence.h"
#include "executor/executor.h"

namespace oxidized {

struct SpeculationOptions {
  enum class Mode : uint8_t { kOff, kAuto, kFixed };
  Mode mode = Mode::kOff;
  int32_t draft_tokens = 0;  // kFixed: guesses of a sequence in each step, where there are any
  int32_t min_match = 3;     // tokens that must have occurred before, 1 .. DraftSource::kLongestMatch

  static SpeculationOptions Auto() { return {.mode = Mode::kAuto}; }
  static SpeculationOptions Fixed(int32_t tokens) { return {.mode = Mode::kFixed, .draft_tokens = tokens}; }
};

class Speculation {
 public:
  Speculation(const SpeculationOptions& options, const ExecutorInfo& info);

  // Whether a new sequence may have guesses: its answer is sure to be the same with them and without.
  bool May(const Sequence& sequence) const;
  // Sets the drafts of sequences that run, before they are scheduled. None if one of them has a prompt to
  // read: such steps are full anyway.
  void Propose(std::span<Sequence* const> running);
  // Whether a guess is worth waiting for the token that the running step is about to sample. If not, the next
  // step may go out without guesses, and counts as chosen so.
  bool Holds(std::span<Sequence* const> running);
  // A step of decoding sequences took so long.
  void Measure(int32_t rows, double us);

  static constexpr int32_t kMostDrafts = 15;  // of a sequence in a step, when automatic

 private:
  // One guess: the place of its sequence, and how likely the sequence gets as far.
  struct Candidate {
    double likelihood;
    size_t sequence;
  };

  struct StepCost {
    double us = 0.0;   // running mean
    int32_t seen = 0;  // steps, up to the few that it takes to be trusted
  };

  bool Wanted(Sequence& sequence, int32_t most, int32_t& count) const;
  void Collect(std::span<Sequence* const> running);
  struct Choice {
    int32_t rows;
    bool trial = false;  // of a number of rows that seemed slow
  };
  Choice Choose(int32_t sequences) const;
  void Chosen(const Choice& choice, int32_t sequences);
  int32_t BestRows(int32_t sequences, bool hopeful) const;
  double Cost(int32_t rows, int32_t sequences, bool hopeful) const;

  const SpeculationOptions options_;
  const ExecutorInfo& info_;
  std::vector<StepCost> costs_;        // [rows]
  std::vector<Candidate> candidates_;  // most likely first
  std::vector<int32_t> counts_;        // [running]
  int32_t since_plain_ = 0;            // steps with guesses since one without
  int32_t since_trial_ = 0, trial_interval_;
};

}  // namespace oxidized
