#include "engine/speculation.h"

#include <algorithm>
#include <cmath>

#include "engine/draft.h"

namespace oxidized {
namespace {

constexpr int32_t kMostRows = 128;      // of a step with guesses
constexpr double kLeastGain = 1.03;     // below it guessing is not worth the noise of its estimates
constexpr int32_t kPlainInterval = 64;  // a step without guesses now and then keeps its cost known
constexpr int32_t kTrialInterval = 64, kLongestTrialInterval = 1024;
constexpr int32_t kFirstSteps = 3;    // the first of a kind also fault pages in: the fastest of them counts
constexpr double kCostWeight = 0.25;  // of the newest step in a running mean
constexpr double kOutlier = 2.0;      // a step that took longer counts as this times the mean

// Cost of a step before it was measured, relative to one row: what the bytes of the touched experts give for
// gpt-oss-20b (1.3, 1.7, 2.3 and 3 for 2, 4, 8 and 16 rows).
double AssumedCost(int32_t rows) { return std::pow(static_cast<double>(rows), 0.4); }

}  // namespace

Speculation::Speculation(const SpeculationOptions& options, const ExecutorInfo& info)
    : options_(options), info_(info), costs_(kMostRows + 1), trial_interval_(kTrialInterval) {}

// Excluded: penalties count tokens, and the executor counts those it is fed, guesses too; a capacity makes
// rows of a step depend on each other; who sees every row of logits or every tap would see rows of wrong
// guesses.
bool Speculation::May(const Sequence& s) const {
  const Request& r = s.request;
  return options_.mode != SpeculationOptions::Mode::kOff && info_.batch_invariant && r.max_new_tokens >= 2 &&
         !r.sampling.needs_history() && !r.routing.strategy->DependsOnStep(r.routing) &&
         r.logits == nullptr && r.taps == nullptr;
}

// How many guesses, at most `most`, sequence s could use in its next step.
bool Speculation::Wanted(Sequence& s, int32_t most, int32_t& count) const {
  count = 0;
  if (!s.may_guess || s.computed < s.prompt_tokens()) return false;
  if (s.guesses == nullptr) {
    const int64_t longest = std::min(s.prompt_tokens() + s.request.max_new_tokens, info_.max_context);
    s.guesses = std::make_unique<DraftSource>(longest, options_.min_match);
  }
  s.guesses->Extend(s.tokens, s.prompt_tokens());
  if (s.guesses->match() == 0) return false;
  // A mask for the next token alone says nothing of those behind it.
  if (s.NextMask() != nullptr || s.failure) return false;
  // The last token of an answer or a context is never fed.
  const int64_t room = std::min(s.request.max_new_tokens - s.stats.generated_tokens,
                                info_.max_context - static_cast<int64_t>(s.tokens.size())) -
                       1;
  count = static_cast<int32_t>(std::clamp<int64_t>(room, 0, most));
  return count > 0;
}

void Speculation::Propose(std::span<Sequence* const> running) {
  if (options_.mode == SpeculationOptions::Mode::kOff) return;
  for (Sequence* s : running) s->draft.clear();
  if (running.empty() ||
      std::any_of(running.begin(), running.end(), [](const Sequence* s) { return s->pending() != 1; }))
    return;
  counts_.assign(running.size(), 0);
  if (options_.mode == SpeculationOptions::Mode::kFixed) {
    for (size_t i = 0; i < running.size(); ++i) Wanted(*running[i], options_.draft_tokens, counts_[i]);
  } else {
    Collect(running);
    const auto sequences = static_cast<int32_t>(running.size());
    const Choice choice = Choose(sequences);
    Chosen(choice, sequences);
    for (int32_t i = 0; i < choice.rows - sequences; ++i)
      ++counts_[candidates_[static_cast<size_t>(i)].sequence];
  }
  for (size_t i = 0; i < running.size(); ++i) {
    Sequence& s = *running[i];
    if (counts_[i] > 0) s.guesses->Propose(s.tokens, counts_[i], s.draft);
  }
}

// A guess further on is never likelier than one before it, so the first n candidates of a sequence are its
// next n tokens.
void Speculation::Collect(std::span<Sequence* const> running) {
  candidates_.clear();
  for (size_t i = 0; i < running.size(); ++i) {
    int32_t count;
    if (!Wanted(*running[i], kMostDrafts, count)) continue;
    const DraftSource& guesses = *running[i]->guesses;
    double likelihood = 1.0;
    for (int32_t n = 0; n < count; ++n) {
      likelihood *= guesses.Likelihood(guesses.match() + n);
      candidates_.push_back({likelihood, i});
    }
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.likelihood > b.likelihood || (a.likelihood == b.likelihood && a.sequence < b.sequence);
  });
}

bool Speculation::Holds(std::span<Sequence* const> running) {
  if (options_.mode == SpeculationOptions::Mode::kOff || running.empty()) return false;
  const auto reads = [](const Sequence* s) { return s->computed + s->in_flight < s->prompt_tokens(); };
  if (std::any_of(running.begin(), running.end(), reads)) return false;
  if (options_.mode == SpeculationOptions::Mode::kFixed) {
    int32_t count;
    return std::any_of(running.begin(), running.end(),
                       [&](Sequence* s) { return Wanted(*s, options_.draft_tokens, count); });
  }
  Collect(running);
  const auto sequences = static_cast<int32_t>(running.size());
  const Choice choice = Choose(sequences);
  if (choice.rows > sequences) return true;
  Chosen(choice, sequences);
  return false;
}

Speculation::Choice Speculation::Choose(int32_t sequences) const {
  // Without the cost of a plain step there is nothing to compare with; one that is old may be wrong.
  if (candidates_.empty() || sequences > kMostRows ||
      costs_[static_cast<size_t>(sequences)].seen < kFirstSteps || since_plain_ >= kPlainInterval)
    return {sequences};
  const int32_t rows = BestRows(sequences, false);
  if (since_trial_ + 1 < trial_interval_) return {rows};
  // A number of rows that was slow once, by accident or at another time, gets another chance, ever more
  // seldom.
  const int32_t trial = BestRows(sequences, true);
  return {trial, trial != rows};
}

void Speculation::Chosen(const Choice& choice, int32_t sequences) {
  ++since_trial_;
  if (choice.trial) {
    since_trial_ = 0;
    trial_interval_ = std::min(2 * trial_interval_, kLongestTrialInterval);
  }
  since_plain_ = choice.rows > sequences ? since_plain_ + 1 : 0;
}

// The number of rows that promises most tokens a second: a power of two, so that few costs are to be known,
// or no guess at all.
int32_t Speculation::BestRows(int32_t sequences, bool hopeful) const {
  const auto most = static_cast<int32_t>(
      std::min({static_cast<size_t>(sequences) + candidates_.size(), static_cast<size_t>(kMostRows),
                static_cast<size_t>(info_.max_step_tokens)}));
  int32_t best = sequences, rows = sequences;
  double tokens = sequences;
  double best_rate = kLeastGain * tokens / costs_[static_cast<size_t>(sequences)].us;
  while (rows < most) {
    tokens += candidates_[static_cast<size_t>(rows - sequences)].likelihood;
    ++rows;
    if ((rows & (rows - 1)) != 0) continue;
    const double rate = tokens / Cost(rows, sequences, hopeful);
    if (rate <= best_rate) continue;
    best = rows;
    best_rate = rate;
  }
  return best;
}

// As measured; else, or if that is less and we are hopeful, from the next smaller number of rows.
double Speculation::Cost(int32_t rows, int32_t sequences, bool hopeful) const {
  const StepCost& measured = costs_[static_cast<size_t>(rows)];
  if (measured.seen > 0 && !hopeful) return measured.us;
  int32_t known = hopeful ? sequences : rows - 1;
  while (known > sequences && costs_[static_cast<size_t>(known)].seen == 0) --known;
  const double assumed = costs_[static_cast<size_t>(known)].us * AssumedCost(rows) / AssumedCost(known);
  return measured.seen > 0 ? std::min(measured.us, assumed) : assumed;
}

void Speculation::Measure(int32_t rows, double us) {
  if (rows > kMostRows) return;
  StepCost& cost = costs_[static_cast<size_t>(rows)];
  if (cost.seen == kFirstSteps) {
    cost.us += kCostWeight * (std::min(us, kOutlier * cost.us) - cost.us);
  } else {
    cost.us = cost.seen++ == 0 ? us : std::min(us, cost.us);
  }
}

}  // namespace oxidized
