// Where a token goes:
//
//   request -> the chat layer renders Harmony and encodes -> Engine::Submit queues a Sequence -> Scheduler
//   picks rows within the token budget, takes KV blocks, may preempt -> StepInFlight flattens them ->
//   executor: embed -> layers x [norm, qkv, rope, attention with sinks, out, norm, router, experts] -> norm
//   -> unembed -> sample -> Advance (advance.cc) appends the token, checks stops, counts routing -> events
//   leave by the sequence's queue -> stream decoder and Harmony parser
//   -> terminal or server-sent event. A disconnect is a Cancel.
#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "engine/refusal.h"

namespace oxidized {
namespace {

constexpr size_t kMostVariants = 256;  // of routing and adapter that share KV; requests of later ones do not
constexpr int64_t kReservedTokens = 4096;  // of an answer: 16 KiB, also where it might fill a long context

}  // namespace

Engine::Engine(Executor& executor, const EngineOptions& options)
    : executor_(executor),
      most_in_flight_(std::clamp(options.steps_in_flight, 1, executor.Info().steps_in_flight)),
      scheduler_(executor.Info(), options.chunk_tokens),
      speculation_(options.speculation, executor.Info()) {
  OX_CHECK(executor.Info().steps_in_flight <= static_cast<int32_t>(steps_.size()));
}

Engine::~Engine() {
  for (; in_flight_ > 0; --in_flight_, oldest_ = 1 - oldest_) {
    StepInFlight& step = Oldest();
    if (step.error) continue;
    try {
      GiveMasks(step);
      executor_.Wait(step.ticket, step.result);
    } catch (...) {  // nobody is left to be told
    }
  }
}

std::optional<RequestError> Engine::Refusal(const Request& request) const {
  if (auto refusal = RefusalOf(request, info())) return refusal;
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (scheduler_.CanEverHold(prompt + (request.max_new_tokens > 0 ? 1 : 0))) return std::nullopt;
  return RequestError{ErrorKind::kNoMemory,
                      fmt::format("the prompt has {} tokens, more than the KV memory holds", prompt)};
}

tl::expected<RequestId, RequestError> Engine::Submit(Request request) {
  if (auto refusal = Refusal(request)) return tl::unexpected(std::move(*refusal));
  auto sequence = std::make_shared<Sequence>();
  sequence->id = next_id_++;
  sequence->tokens = request.prompt;
  if (request.logits != nullptr) sequence->logits = std::make_unique<OnceSink>(request.logits);
  if (request.taps != nullptr) sequence->taps = std::make_unique<OwnTaps>(request.taps);
  sequence->may_mask = MayMask(request);
  sequence->wants_router_logits = WantsRouterLogits(request);
  // Sinks must not see void rows, and what a capacity leaves a row must not depend on how steps are cut.
  sequence->holds_steps = request.logits != nullptr || request.taps != nullptr ||
                          request.routing.strategy->DependsOnStep(request.routing) ||
                          (sequence->may_mask && !info().late_masks);
  sequence->request = std::move(request);
  sequence->stats.prompt_tokens = sequence->prompt_tokens();
  sequence->stats.routing = RoutingStats(info().num_layers, info().num_experts, info().layer_experts);
  sequence->variant = VariantOf(sequence->request);
  sequence->may_guess = speculation_.May(*sequence);
  sequence->submitted = EngineClock::now();
  const RequestId id = sequence->id;
  const auto known = sequences_.emplace(id, sequence).first;
  try {
    scheduler_.Add(sequence.get());
  } catch (...) {
    sequences_.erase(known);
    throw;
  }
  return id;
}

// KV depends on the tokens, on how they were routed and on the adapter. With a capacity it also depends on
// the chunks, and who wants to see every row must have every row computed: neither shares.
int32_t Engine::VariantOf(const Request& request) {
  const RoutingPolicy& routing = request.routing;
  if (routing.strategy->DependsOnStep(routing) || request.score_prompt || request.logits != nullptr ||
      request.taps != nullptr)
    return -1;
  const Variant variant{routing, request.adapter};
  auto known = std::find(variants_.begin(), variants_.end(), variant);
  if (known == variants_.end()) {
    if (variants_.size() == kMostVariants) return -1;
    known = variants_.insert(known, variant);
  }
  return static_cast<int32_t>(known - variants_.begin());
}

void Engine::Cancel(RequestId id) {
  const auto found = sequences_.find(id);
  if (found != sequences_.end()) Finish(*found->second, StopReason::kCancelled);
}

void Engine::Fail(RequestId id, RequestError error) {
  const auto found = sequences_.find(id);
  if (found != sequences_.end()) Finish(*found->second, StopReason::kError, std::move(error));
}

std::vector<Event> Engine::TakeEvents(RequestId id) {
  std::vector<Event> events;
  TakeEvents(id, events);
  return events;
}

void Engine::TakeEvents(RequestId id, std::vector<Event>& events) {
  events.clear();
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  std::swap(found->second->events, events);
  if (!found->second->finished) return;
  sequences_.erase(found);  // a step in flight may hold the sequence for a while yet
  std::erase(changed_, id);
}

std::span<const RequestId> Engine::TakeChanged() {
  std::swap(changed_, taken_changed_);
  changed_.clear();
  ++change_list_;
  return taken_changed_;
}

void Engine::AfterSteps(int64_t every, std::function<void()> action) {
  between_every_ = every;
  since_between_ = 0;
  between_steps_ = std::move(action);
}

std::vector<KvPoolUse> Engine::KvPools() const {
  std::vector<KvPoolUse> pools;
  for (const BlockPool& pool : scheduler_.pools())
    pools.push_back({info().kv_windows[pools.size()], pool.num_blocks(), pool.num_held(), pool.most_held()});
  return pools;
}

// Plan n+1, submit it, wait for n, advance n, masks of n+1.
bool Engine::Step() {
  if (in_flight_ == 0) {
    if (!PlanAlone()) return !idle();
    Launch();
    GiveMasks(Oldest());
  }
  if (PlanAhead()) Launch();
  Collect(Oldest());
  oldest_ = 1 - oldest_;
  --in_flight_;
  if (in_flight_ > 0) GiveMasks(Oldest());
  if (between_steps_ && ++since_between_ >= between_every_ && in_flight_ == 0) {
    since_between_ = 0;
    between_steps_();
  }
  return !idle();
}

bool Engine::PlanAlone() {
  if (scheduler_.idle()) return false;
  speculation_.Propose(scheduler_.running());
  scheduler_.Schedule(plan_);
  for (Sequence* sequence : plan_.exhausted) Finish(*sequence, StopReason::kContextFull);
  return !plan_.rows.empty();
}

bool Engine::PlanAhead() {
  const StepInFlight& running = Oldest();
  if (most_in_flight_ < 2 || in_flight_ != 1 || running.error || running.drafts()) return false;
  if (between_steps_ && since_between_ + 1 >= between_every_) return false;
  return !speculation_.Holds(scheduler_.running()) && scheduler_.ScheduleAhead(plan_);
}

// Submits the plan, behind what is in flight. What the executor throws is kept for the step's turn.
void Engine::Launch() {
  StepInFlight& step = steps_[(oldest_ + in_flight_) % steps_.size()];
  const auto now = EngineClock::now();
  step.Clear(info().kv_blocks.size());
  for (const ScheduledRows& rows : plan_.rows) step.Add(rows, info().late_masks);
  for (Sequence* sequence : plan_.admitted) {
    if (sequence->stats.preemptions == 0) sequence->stats.reused_tokens = sequence->computed;
    sequence->observed = std::max(sequence->observed, sequence->computed);
    if (sequence->started == EngineClock::time_point{}) sequence->started = now;
    // The tokens of an answer come without allocations, but for a few doublings of a long one.
    const Request& request = sequence->request;
    const int64_t most =
        std::min({info().max_context - sequence->prompt_tokens(), request.max_new_tokens, kReservedTokens});
    sequence->tokens.reserve(request.prompt.size() + static_cast<size_t>(most));
  }
  for (const ScheduledRows& rows : plan_.rows) rows.sequence->in_flight += rows.rows - rows.drafted;
  ++in_flight_;
  step.submitted = now;
  bool prepared = false;
  try {
    for (const Sequence* sequence : plan_.admitted)
      executor_.ResetSlot(sequence->slot,
                          std::span(sequence->tokens).first(static_cast<size_t>(sequence->computed)));
    if (!plan_.copies.empty()) executor_.CopyBlocks(plan_.copies);
    prepared = true;
    step.ticket = executor_.Submit(step.Batch());
  } catch (...) {
    step.error = std::current_exception();
    // Those admitted without rows in this step have a slot or blocks that are not theirs yet.
    for (Sequence* sequence : plan_.admitted) {
      if (!prepared) step.AddAdmitted(*sequence);
    }
  }
}

void Engine::GiveMasks(StepInFlight& step) {
  if (step.has_late_masks() && !step.masks_given && !step.error)
    executor_.GiveMasks(step.ticket, step.Masks());
}

void Engine::Collect(StepInFlight& step) {
  try {
    if (step.error) std::rethrow_exception(step.error);
    executor_.Wait(step.ticket, step.result);
  } catch (...) {
    for (const StepRows& rows : step.rows()) Fail(*rows.sequence, std::current_exception());
    step.Forget();
    return;
  }
  // Behind another step it began when that one ended.
  const auto now = EngineClock::now();
  const auto begin = std::max(step.submitted, std::exchange(last_end_, now));
  // Void rows are in no count, but what a step cost is not divided.
  int64_t rows = 0;
  bool decode = true;
  for (const StepRows& r : step.rows()) {
    if (r.sequence->finished || r.rows == 0) continue;
    rows += r.rows;
    decode &= r.decode;
  }
  if (rows > 0) {
    ++step_;
    if (decode && rows == step.num_tokens())
      speculation_.Measure(step.num_tokens(), Microseconds(now - begin));
    (decode ? decode_totals_ : prefill_totals_).Add(rows, step.result.stages);
  }
  AdvanceAll(step);
  step.Forget();
}

}  // namespace oxidized
