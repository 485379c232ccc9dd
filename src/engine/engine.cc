// Where a token goes:
//
//   request -> the chat layer renders Harmony and encodes -> Engine::Submit queues a Sequence -> Scheduler
//   picks rows within the token budget, takes KV blocks, may preempt -> BatchBuffers flattens them ->
//   executor: embed -> layers x [norm, qkv, rope, attention with sinks, out, norm, router, experts] -> norm
//   -> unembed -> sample -> Advance appends the token, checks stops, counts routing -> events leave by the
//   sequence's queue -> stream decoder and Harmony parser
//   -> terminal or server-sent event. A disconnect is a Cancel.
#include "engine/engine.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace oxidized {
namespace {

double Microseconds(EngineClock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

tl::unexpected<RequestError> Refuse(ErrorKind kind, std::string message) {
  return tl::unexpected(RequestError{kind, std::move(message)});
}

bool Sane(const SamplingParams& p) {
  return p.temperature >= 0.0 && p.top_k >= 0 && p.top_p > 0.0 && p.top_p <= 1.0 && p.min_p >= 0.0 &&
         p.min_p <= 1.0 && p.repetition_penalty > 0.0;
}

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

// The arrays behind a StepBatch; kept between steps so that a decode step allocates nothing.
struct Engine::BatchBuffers {
  std::vector<int32_t> token_ids, query_start, slot;
  std::vector<int64_t> positions, context_len;
  std::vector<uint8_t> policy;
  std::vector<RoutingPolicy> policies;
  std::vector<SampleSpec> samples;
  std::vector<LogitsSink*> logits;
  struct Group {
    std::vector<int32_t> offsets, block_ids;
    std::vector<int64_t> first_position;
  };
  std::vector<Group> groups;
  std::vector<BlockTables> kv;
  TapSink* taps = nullptr;
  bool router_logits = false;

  void Clear(size_t num_groups) {
    for (auto* v : {&token_ids, &query_start, &slot}) v->clear();
    positions.clear();
    context_len.clear();
    policy.clear();
    policies.clear();
    samples.clear();
    logits.clear();
    groups.resize(num_groups);
    for (Group& group : groups) {
      group.offsets.assign(1, 0);
      group.block_ids.clear();
      group.first_position.clear();
    }
    query_start.push_back(0);
    taps = nullptr;
    router_logits = false;
  }

  void Add(const ScheduledRows& scheduled) {
    Sequence& s = *scheduled.sequence;
    const int64_t end = s.computed + scheduled.rows;
    const auto first_row = static_cast<int32_t>(token_ids.size());
    const auto sure = static_cast<int64_t>(s.tokens.size());  // tokens behind are guessed
    for (int64_t p = s.computed; p < end; ++p) {
      token_ids.push_back(p < sure ? s.tokens[static_cast<size_t>(p)]
                                   : s.draft[static_cast<size_t>(p - sure)]);
      positions.push_back(p);
    }
    query_start.push_back(static_cast<int32_t>(token_ids.size()));
    context_len.push_back(end);
    slot.push_back(s.slot);
    auto known = std::find(policies.begin(), policies.end(), s.request.routing);
    if (known == policies.end()) known = policies.insert(known, s.request.routing);
    policy.push_back(static_cast<uint8_t>(known - policies.begin()));
    for (size_t g = 0; g < groups.size(); ++g) {
      const BlockTable& table = s.tables[g];
      groups[g].block_ids.insert(groups[g].block_ids.end(), table.blocks.begin(), table.blocks.end());
      groups[g].offsets.push_back(static_cast<int32_t>(groups[g].block_ids.size()));
      groups[g].first_position.push_back(table.first_position);
    }
    logits.push_back(s.logits.get());
    if (s.request.taps != nullptr) taps = s.request.taps;
    for (const RoutingObserver* observer : s.request.routing_observers)
      router_logits |= observer->wants_logits();

    for (int64_t p = s.computed; s.request.score_prompt && p < end; ++p) {
      if (p + 1 >= s.prompt_tokens() || p < s.observed) continue;
      samples.push_back({.row = first_row + static_cast<int32_t>(p - s.computed),
                         .score_token = s.tokens[static_cast<size_t>(p) + 1]});
    }
    if (end < sure || s.request.max_new_tokens == 0) return;
    const TokenMask* steered = s.request.controller ? s.request.controller->NextMask() : nullptr;
    for (int64_t p = sure - 1; p < end; ++p) {
      samples.push_back({.row = first_row + static_cast<int32_t>(p - s.computed),
                         .params = &s.request.sampling,
                         .mask = steered != nullptr ? steered : s.request.mask.get(),
                         .top_logprobs = s.request.top_logprobs});
    }
  }

  StepBatch Batch() {
    kv.clear();
    for (const Group& group : groups) kv.push_back({group.offsets, group.first_position, group.block_ids});
    return {token_ids, positions, query_start, context_len, slot, policy,
            policies,  kv,        samples,     logits,      taps, router_logits};
  }
};

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

Engine::Engine(Executor& executor, const EngineOptions& options)
    : executor_(executor),
      scheduler_(executor.Info(), options.chunk_tokens),
      speculation_(options.speculation, executor.Info()),
      buffers_(std::make_shared<BatchBuffers>()) {}

tl::expected<RequestId, RequestError> Engine::Submit(Request request) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0) return Refuse(ErrorKind::kUsage, "the prompt has no tokens");
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= info().vocab_size) {
      return Refuse(ErrorKind::kUsage, fmt::format("token id {} is outside the model's vocabulary of {}", id,
                                                   info().vocab_size));
    }
  }
  const int64_t least = prompt + (request.max_new_tokens > 0 ? 1 : 0);
  if (least > info().max_context) {
    return Refuse(ErrorKind::kContextFull,
                  fmt::format("the prompt has {} tokens, the context holds {}", prompt, info().max_context));
  }
  if (!scheduler_.CanEverHold(least)) {
    return Refuse(ErrorKind::kNoMemory,
                  fmt::format("the prompt has {} tokens, more than the KV memory holds", prompt));
  }
  if (request.max_new_tokens < 0 || !Sane(request.sampling)) {
    return Refuse(ErrorKind::kUsage, "a sampling parameter is out of range");
  }
  auto sequence = std::make_unique<Sequence>();
  sequence->id = next_id_++;
  sequence->tokens = request.prompt;
  if (request.logits != nullptr) sequence->logits = std::make_unique<OnceSink>(request.logits);
  sequence->request = std::move(request);
  sequence->stats.prompt_tokens = prompt;
  sequence->stats.routing = RoutingStats(info().num_layers, info().num_experts, info().layer_experts);
  sequence->variant = VariantOf(sequence->request);
  speculation_.Begin(*sequence);
  sequence->submitted = EngineClock::now();
  scheduler_.Add(sequence.get());
  const RequestId id = sequence->id;
  sequences_.emplace(id, std::move(sequence));
  return id;
}

// KV depends on the tokens and on how they were routed. With a capacity it also depends on the chunks, and
// who wants to see every row must have every row computed: neither shares.
int32_t Engine::VariantOf(const Request& request) {
  const RoutingPolicy& routing = request.routing;
  if (routing.strategy->DependsOnStep(routing) || request.score_prompt || request.logits != nullptr ||
      request.taps != nullptr)
    return -1;
  auto known = std::find(variants_.begin(), variants_.end(), routing);
  if (known == variants_.end()) known = variants_.insert(known, routing);
  return static_cast<int32_t>(known - variants_.begin());
}

void Engine::Cancel(RequestId id) {
  const auto found = sequences_.find(id);
  if (found != sequences_.end() && !found->second->finished) Finish(*found->second, StopReason::kCancelled);
}

std::vector<Event> Engine::TakeEvents(RequestId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return {};
  Sequence& sequence = *found->second;
  std::vector<Event> events(std::make_move_iterator(sequence.events.begin()),
                            std::make_move_iterator(sequence.events.end()));
  sequence.events.clear();
  if (sequence.finished) sequences_.erase(found);
  return events;
}

std::vector<KvPoolUse> Engine::KvPools() const {
  std::vector<KvPoolUse> pools;
  for (const BlockPool& pool : scheduler_.pools())
    pools.push_back({info().kv_windows[pools.size()], pool.num_blocks(), pool.num_held(), pool.most_held()});
  return pools;
}

bool Engine::Step() {
  if (scheduler_.idle()) return false;
  speculation_.Propose(scheduler_.running());
  scheduler_.Schedule(plan_);
  for (Sequence* sequence : plan_.exhausted) Finish(*sequence, StopReason::kContextFull);
  if (plan_.rows.empty()) return !scheduler_.idle();
  try {
    RunPlan(plan_);
  } catch (const std::exception& failure) {
    for (const ScheduledRows& rows : plan_.rows) {
      if (!rows.sequence->finished) {
        Finish(*rows.sequence, StopReason::kError, RequestError{ErrorKind::kRequestFailed, failure.what()});
      }
    }
  }
  if (after_step_) after_step_();
  return !scheduler_.idle();
}

void Engine::RunPlan(const Scheduler::Plan& plan) {
  const auto now = EngineClock::now();
  for (Sequence* sequence : plan.admitted) {
    executor_.ResetSlot(sequence->slot,
                        std::span(sequence->tokens).first(static_cast<size_t>(sequence->computed)));
    if (sequence->stats.preemptions == 0) sequence->stats.reused_tokens = sequence->computed;
    sequence->observed = std::max(sequence->observed, sequence->computed);
    if (sequence->started == EngineClock::time_point{}) sequence->started = now;
  }
  if (!plan.copies.empty()) executor_.CopyBlocks(plan.copies);
  buffers_->Clear(info().kv_blocks.size());
  for (const ScheduledRows& rows : plan.rows) buffers_->Add(rows);
  const StepBatch batch = buffers_->Batch();
  const auto begin = EngineClock::now();
  executor_.Wait(executor_.Submit(batch), result_);
  ++step_;
  const bool decode = std::all_of(plan.rows.begin(), plan.rows.end(),
                                  [](const ScheduledRows& rows) { return rows.sequence->pending() == 1; });
  if (decode) speculation_.Measure(batch.num_tokens(), Microseconds(EngineClock::now() - begin));
  (decode ? decode_totals_ : prefill_totals_).Add(batch.num_tokens(), result_.stages);

  size_t sample = 0;
  for (size_t i = 0; i < plan.rows.size(); ++i) {
    Advance(plan.rows[i], static_cast<size_t>(batch.query_start[i]), batch.num_tokens(), sample);
  }
}

// One sequence after its step: computed tokens, observations, events, the new tokens.
void Engine::Advance(const ScheduledRows& rows, size_t first_row, int32_t total_rows, size_t& sample) {
  Sequence& s = *rows.sequence;
  const int64_t before = s.computed;
  const auto drafted = static_cast<int64_t>(s.draft.size());
  s.computed += rows.rows - drafted;
  const auto first = static_cast<int32_t>(static_cast<int64_t>(first_row) - before);  // row of position 0

  const int64_t first_new =
      std::max(s.observed, before);  // rows computed again after a preemption count once
  if (first_new < s.computed) {
    const int64_t prompt_end = std::clamp(s.prompt_tokens(), first_new, s.computed);
    ObserveRouting(s, RoutingPhase::kPrefill, first, first_new, prompt_end, total_rows);
    ObserveRouting(s, RoutingPhase::kDecode, first, prompt_end, s.computed, total_rows);
  }
  bool finite = true;
  for (int64_t p = before; s.request.score_prompt && p < s.computed; ++p) {
    if (p + 1 >= s.prompt_tokens() || p < s.observed) continue;
    const SampledToken& scored = result_.samples[sample++];
    finite &= scored.finite;
    s.events.push_back(PromptScore{p + 1, s.tokens[static_cast<size_t>(p) + 1], scored.score});
  }
  s.observed = std::max(s.observed, s.computed);
  if (before < s.prompt_tokens()) {
    s.events.push_back(PrefillProgress{std::min(s.computed, s.prompt_tokens()), s.prompt_tokens()});
    if (s.computed >= s.prompt_tokens() && s.prompt_done == EngineClock::time_point{}) {
      s.prompt_done = EngineClock::now();
      scheduler_.KeepPrefix(s);
    }
  }
  const bool whole = s.pending() == 0;
  std::span<SampledToken> sampled;
  if (whole && s.request.max_new_tokens > 0)
    sampled = std::span(result_.samples).subspan(sample, 1 + static_cast<size_t>(drafted));
  sample += sampled.size();
  if (!finite) return FinishNotFinite(s);
  if (!sampled.empty()) {
    AppendAccepted(s, sampled, first, total_rows);
  } else if (whole) {
    Finish(s, StopReason::kLength);
  }
}

// The token of the last pending row and, as long as each is the one that was guessed, those of the rows
// behind it. What is left then was computed from wrong tokens: the KV of those rows lies behind `computed`,
// where the next step writes. Position p is row first + p of the step.
void Engine::AppendAccepted(Sequence& s, std::span<SampledToken> sampled, int32_t first, int32_t total_rows) {
  s.stats.drafted_tokens += static_cast<int64_t>(s.draft.size());
  for (size_t i = 0; i < sampled.size(); ++i) {
    if (i > 0) {
      // Forced tokens or a mask that came up make the rest void, whatever it says.
      const bool guessed = s.pending() == 1 && s.tokens.back() == s.draft[i - 1];
      if (!guessed || (s.request.controller && s.request.controller->NextMask() != nullptr)) break;
      ++s.stats.accepted_tokens;
      ObserveRouting(s, RoutingPhase::kDecode, first, s.computed, s.computed + 1, total_rows);
      s.observed = ++s.computed;
    }
    if (!sampled[i].finite) return FinishNotFinite(s);
    AppendSampled(s, sampled[i]);
    if (s.finished) return;
  }
  s.draft.clear();
}

// Positions [begin, end) of a sequence; position p is row first + p of the step.
void Engine::ObserveRouting(Sequence& s, RoutingPhase phase, int32_t first, int64_t begin, int64_t end,
                            int32_t total_rows) {
  if (begin == end) return;
  observed_layers_.clear();
  observed_logits_.clear();
  for (int32_t layer = 0; layer < info().num_layers; ++layer) {
    const auto from = static_cast<int32_t>(first + begin), to = static_cast<int32_t>(first + end);
    observed_layers_.push_back(result_.routing.Rows(layer, total_rows, from, to));
    if (!result_.routing.logits.empty())
      observed_logits_.push_back(result_.routing.Logits(layer, total_rows, from, to));
  }
  const ObservedRows rows{
      s.id,
      step_,
      phase,
      begin,
      std::span(s.tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
      observed_layers_,
      observed_logits_};
  s.stats.routing.Add(rows);
  for (RoutingObserver* observer : s.request.routing_observers) observer->OnRows(rows);
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
  s.events.push_back(std::move(token));
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

void Engine::FinishNotFinite(Sequence& s) {
  Finish(s, StopReason::kError,
         RequestError{ErrorKind::kRequestFailed,
                      "the model's logits are not finite (are its weights damaged?)"});
}

void Engine::Finish(Sequence& s, StopReason reason, std::optional<RequestError> error) {
  if (s.finished) return;
  s.finished = true;
  if (reason != StopReason::kError) scheduler_.KeepPrefix(s);
  scheduler_.Remove(&s);
  const auto now = EngineClock::now();
  const bool started = s.started != EngineClock::time_point{};
  const bool prefilled = s.prompt_done != EngineClock::time_point{};
  s.stats.read_tokens = std::min(s.observed, s.prompt_tokens());
  if (started) s.stats.queue_us = Microseconds(s.started - s.submitted);
  if (started) s.stats.prefill_us = Microseconds((prefilled ? s.prompt_done : now) - s.started);
  if (prefilled) s.stats.decode_us = Microseconds(now - s.prompt_done);
  s.events.push_back(Finished{reason, std::move(error), std::move(s.stats)});
}

}  // namespace oxidized
