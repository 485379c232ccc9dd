// What a step's results do to its sequences: one sequence after the other, each by the step's record of it.
// A row counts while its sequence lives. A draw counts if the token it is for is the next one still.
#include <algorithm>
#include <utility>

#include "engine/engine.h"

namespace oxidized {
namespace {

std::string MessageOf(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

constexpr const char* kNotFinite = "the model's logits are not finite (are its weights damaged?)";

}  // namespace

const char* Name(StopReason reason) {
  switch (reason) {
    case StopReason::kStopToken:
      return "stop";
    case StopReason::kController:
      return "stop_rule";
    case StopReason::kLength:
      return "length";
    case StopReason::kContextFull:
      return "context_full";
    case StopReason::kCancelled:
      return "cancelled";
    case StopReason::kError:
      return "error";
  }
  return "error";
}

// Whatever is thrown on behalf of one request ends that one.
void Engine::AdvanceAll(StepInFlight& step) {
  for (const StepRows& rows : step.rows()) {
    Sequence& s = *rows.sequence;
    if (s.finished || rows.rows == 0) continue;
    if (s.logits != nullptr && s.logits->failure()) s.failure = s.logits->failure();
    if (s.taps != nullptr && s.taps->failure()) s.failure = s.taps->failure();
    if (s.failure) {
      Fail(s, s.failure);
      continue;
    }
    try {
      Advance(step, rows);
    } catch (...) {
      Fail(s, std::current_exception());
    }
    if (!s.finished) scheduler_.Advanced(s);
  }
}

// One sequence after its step: computed tokens, observations, events, the new tokens.
void Engine::Advance(StepInFlight& step, const StepRows& rows) {
  Sequence& s = *rows.sequence;
  const int64_t before = s.computed, sure = rows.rows - rows.drafted;
  OX_CHECK(rows.first_position == before && s.in_flight >= sure);
  s.computed += sure;
  s.in_flight -= sure;

  const int64_t first_new =
      std::max(s.observed, before);  // rows computed again after a preemption count once
  if (first_new < s.computed) {
    const int64_t prompt_end = std::clamp(s.prompt_tokens(), first_new, s.computed);
    ObserveRouting(step, rows, RoutingPhase::kPrefill, first_new, prompt_end);
    ObserveRouting(step, rows, RoutingPhase::kDecode, prompt_end, s.computed);
  }
  s.observed = std::max(s.observed, s.computed);

  std::span<SampledToken> samples = std::span(step.result.samples).subspan(rows.first_sample);
  bool finite = true;
  for (int32_t i = 0; i < rows.scored; ++i) {
    const SampledToken& scored = samples[static_cast<size_t>(i)];
    const int64_t position = rows.first_scored + i + 1;
    finite &= scored.finite;
    Push(s, PromptScore{position, s.tokens[static_cast<size_t>(position)], scored.score});
  }
  // Tokens that were forced since this step went out make its draw void, finite or not.
  const bool whole = s.computed == static_cast<int64_t>(s.tokens.size());
  std::span<SampledToken> drawn;
  if (whole) drawn = samples.subspan(static_cast<size_t>(rows.scored), static_cast<size_t>(rows.drawn));
  if (!drawn.empty()) finite &= drawn[0].finite;

  if (before < s.prompt_tokens()) {
    Push(s, PrefillProgress{std::min(s.computed, s.prompt_tokens()), s.prompt_tokens()});
    if (s.computed >= s.prompt_tokens() && s.prompt_done == EngineClock::time_point{}) {
      s.prompt_done = EngineClock::now();
      if (finite) scheduler_.KeepPrefix(s);
    }
  }
  if (!finite) return Fail(s, kNotFinite);
  if (!drawn.empty()) {
    AppendAccepted(step, rows, drawn);
  } else if (whole) {
    Finish(s, StopReason::kLength);
  }
}

// The token of the last pending row and, as long as each is the one that was guessed, those of the rows
// behind it. What is left then was computed from wrong tokens: the KV of those rows lies behind `computed`,
// where the next step writes.
void Engine::AppendAccepted(StepInFlight& step, const StepRows& rows, std::span<SampledToken> drawn) {
  Sequence& s = *rows.sequence;
  const std::span<const int32_t> draft = step.DraftOf(rows);
  s.stats.drafted_tokens += rows.drafted;
  for (size_t i = 0; i < drawn.size(); ++i) {
    if (i > 0) {
      // Forced tokens or a mask that came up make the rest void, whatever it says.
      const bool guessed = s.pending() == 1 && s.tokens.back() == draft[i - 1];
      if (!guessed || s.NextMask() != nullptr) break;
      ++s.stats.accepted_tokens;
      ObserveRouting(step, rows, RoutingPhase::kDecode, s.computed, s.computed + 1);
      s.observed = ++s.computed;
    }
    if (!drawn[i].finite) return Fail(s, kNotFinite);
    if (drawn[i].empty_mask) return Fail(s, "the mask of the next token allows none");
    AppendSampled(s, drawn[i]);
    if (s.finished) return;
  }
  s.draft.clear();
}

// Positions [begin, end) of a sequence.
void Engine::ObserveRouting(StepInFlight& step, const StepRows& rows, RoutingPhase phase, int64_t begin,
                            int64_t end) {
  RoutingObservation& routing = step.result.routing;
  if (begin == end || routing.experts.empty()) return;
  Sequence& s = *rows.sequence;
  observed_layers_.clear();
  observed_logits_.clear();
  const auto first = static_cast<int32_t>(rows.first_row + begin - rows.first_position);
  const auto last = static_cast<int32_t>(rows.first_row + end - rows.first_position);
  for (int32_t layer = 0; layer < info().num_layers; ++layer) {
    observed_layers_.push_back(routing.Rows(layer, step.num_tokens(), first, last));
    if (!routing.logits.empty())
      observed_logits_.push_back(routing.Logits(layer, step.num_tokens(), first, last));
  }
  const ObservedRows observed{
      s.id,
      step_,
      phase,
      begin,
      std::span(s.tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
      observed_layers_,
      observed_logits_};
  s.stats.routing.Add(observed);
  for (RoutingObserver* observer : s.request.routing_observers) observer->OnRows(observed);
}

void Engine::AppendSampled(Sequence& s, SampledToken& sampled) {
  if (s.stats.generated_tokens == 0) s.stats.first_token_us = Microseconds(EngineClock::now() - s.submitted);
  const int32_t token = sampled.token;
  TokenController::Verdict verdict;
  if (s.request.controller) verdict = s.request.controller->OnToken(token);
  const bool stops = std::find(s.request.stop_tokens.begin(), s.request.stop_tokens.end(), token) !=
                     s.request.stop_tokens.end();
  const bool room = AppendToken(s, {token, false, sampled.logprob, std::move(sampled.top)});
  if (stops) return Finish(s, StopReason::kStopToken);
  if (verdict.stop) return Finish(s, StopReason::kController);
  if (!room) return;
  for (const int32_t forced : verdict.forced) {
    if (!AppendToken(s, {forced, true, 0.0f, {}})) return;
  }
}

bool Engine::AppendToken(Sequence& s, GeneratedToken token) {
  s.tokens.push_back(token.token);
  ++s.stats.generated_tokens;
  Push(s, std::move(token));
  const bool stop_token = std::find(s.request.stop_tokens.begin(), s.request.stop_tokens.end(),
                                    s.tokens.back()) != s.request.stop_tokens.end();
  if (stop_token) return true;  // the caller ends the request for that reason
  if (s.stats.generated_tokens >= s.request.max_new_tokens) {
    Finish(s, StopReason::kLength);
    return false;
  }
  if (static_cast<int64_t>(s.tokens.size()) >= info().max_context) {
    Finish(s, StopReason::kContextFull);
    return false;
  }
  return true;
}

void Engine::Push(Sequence& s, Event event) {
  s.events.push_back(std::move(event));
  if (s.changed_in == change_list_) return;
  s.changed_in = change_list_;
  changed_.push_back(s.id);
}

void Engine::Fail(Sequence& s, std::string message) {
  Finish(s, StopReason::kError, RequestError{ErrorKind::kRequestFailed, std::move(message)});
}

void Engine::Fail(Sequence& s, const std::exception_ptr& failure) {
  if (!s.finished) Fail(s, MessageOf(failure));
}

void Engine::Finish(Sequence& s, StopReason reason, std::optional<RequestError> error) {
  if (s.finished) return;
  s.finished = true;
  if (reason != StopReason::kError) {
    scheduler_.KeepPrefix(s);
  } else {
    scheduler_.DiscardPrefix(s);
  }
  scheduler_.Remove(&s);
  if (s.logits != nullptr) s.logits->Close();
  if (s.taps != nullptr) s.taps->Close();
  const auto now = EngineClock::now();
  const bool started = s.started != EngineClock::time_point{};
  const bool prefilled = s.prompt_done != EngineClock::time_point{};
  s.stats.read_tokens = std::min(s.observed, s.prompt_tokens());
  if (started) s.stats.queue_us = Microseconds(s.started - s.submitted);
  if (started) s.stats.prefill_us = Microseconds((prefilled ? s.prompt_done : now) - s.started);
  if (prefilled) s.stats.decode_us = Microseconds(now - s.prompt_done);
  Push(s, Finished{reason, std::move(error), std::move(s.stats)});
}

void StageTotals::Add(int64_t step_rows, const std::vector<StageCost>& costs) { Add(1, step_rows, costs); }

void StageTotals::Add(const StageTotals& other) { Add(other.steps, other.rows, other.stages); }

void StageTotals::Add(int64_t more_steps, int64_t more_rows, const std::vector<StageCost>& costs) {
  steps += more_steps;
  rows += more_rows;
  if (stages.size() < costs.size()) stages.resize(costs.size());
  for (size_t i = 0; i < costs.size(); ++i) {
    stages[i].stage = costs[i].stage;
    stages[i].microseconds += costs[i].microseconds;
    stages[i].bytes += costs[i].bytes;
    stages[i].flops += costs[i].flops;
  }
}

}  // namespace oxidized
