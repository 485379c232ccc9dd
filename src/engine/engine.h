// Keeps an executor busy with many requests: submit, step, events, cancel.
//
// Where the executor takes two steps at a time, step n+1 goes out before step n is waited for: the text work
// of a step then costs the device nothing. Results are the same bit for bit
// (docs/adr/0009-two-steps-in-flight.md).
//
// Not thread safe: one thread owns an engine and calls it. A request's result does not depend on its batch
// mates (if the executor is batch invariant): not on chunking, order of arrival, preemption or speculation.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tl/expected.hpp>
#include <vector>

#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/speculation.h"
#include "engine/step_in_flight.h"
#include "executor/executor.h"

namespace oxidized {

// Sums over steps of one kind.
struct StageTotals {
  int64_t steps = 0;
  int64_t rows = 0;
  std::vector<StageCost> stages;

  void Add(int64_t step_rows, const std::vector<StageCost>& costs);  // of one step
  void Add(const StageTotals& other);

 private:
  void Add(int64_t more_steps, int64_t more_rows, const std::vector<StageCost>& costs);
};

// Blocks of one KV group's memory.
struct KvPoolUse {
  int32_t window = 0;  // 0: full attention
  int32_t blocks = 0, held = 0, most_held = 0;
};

struct EngineOptions {
  int32_t chunk_tokens = 0;  // most prompt tokens of one request in a step; 0: as many as a step holds
  SpeculationOptions speculation = {};  // off; changes no result
  int32_t steps_in_flight = 2;          // at most, and no more than the executor takes; 1: none goes ahead
};

class Engine {
 public:
  // `executor` must outlive the engine.
  explicit Engine(Executor& executor, const EngineOptions& options = {});
  ~Engine();  // waits for what is in flight
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Why a request can never run (kUsage, kContextFull, kNoMemory, kUnsupported); nullopt: it can. From any
  // thread: it looks at what never changes.
  std::optional<RequestError> Refusal(const Request& request) const;
  // Refuses what Refusal names; other requests are not touched.
  tl::expected<RequestId, RequestError> Submit(Request request);
  // Ends a request at once; its Finished event says kCancelled. Unknown ids are ignored.
  void Cancel(RequestId id);
  // The same with kError; nothing of it is kept for reuse.
  void Fail(RequestId id, RequestError error);

  // If there is work: waits for one step, and has sent out the one behind it before, where that can be.
  // Returns whether there is more. Never throws for a request's sake: when the executor fails, the requests
  // of that step end with kError and the engine goes on; when a request's own controller, observer or sink
  // throws, that request ends with kError.
  bool Step();
  bool idle() const { return scheduler_.idle() && in_flight_ == 0; }  // no request, and no step running

  std::vector<KvPoolUse> KvPools() const;

  // Called by the thread that steps, while the executor has nothing to do, each time `every` more steps have
  // run: the step that would run meanwhile is held back. What it does must change no result.
  void AfterSteps(int64_t every, std::function<void()> action);

  // The events of a request since the last call. After Finished was taken the id is forgotten.
  std::vector<Event> TakeEvents(RequestId id);
  // The same into `events`, whose memory the engine fills next: nothing is allocated once both are warm.
  void TakeEvents(RequestId id, std::vector<Event>& events);
  // Requests that got events since the last call, each once, the forgotten ones left out. Lives until the
  // next call.
  std::span<const RequestId> TakeChanged();

  const ExecutorInfo& info() const { return executor_.Info(); }
  // Since the engine began: steps in which every sequence decodes (a row each, and drafts), and all others.
  const StageTotals& decode_totals() const { return decode_totals_; }
  const StageTotals& prefill_totals() const { return prefill_totals_; }
  bool Intact() const { return scheduler_.Intact(); }                 // for tests
  int64_t prefix_nodes() const { return scheduler_.prefix_nodes(); }  // blocks of 32 tokens kept for reuse

 private:
  int32_t VariantOf(const Request& request);

  // A step, from plan to submission (engine.cc).
  bool PlanAlone();
  bool PlanAhead();
  void Launch();
  StepInFlight& Oldest() { return steps_[oldest_]; }
  void GiveMasks(StepInFlight& step);
  void Collect(StepInFlight& step);

  // What its results do (advance.cc).
  void AdvanceAll(StepInFlight& step);
  void Advance(StepInFlight& step, const StepRows& rows);
  void ObserveRouting(StepInFlight& step, const StepRows& rows, RoutingPhase phase, int64_t begin,
                      int64_t end);
  void AppendAccepted(StepInFlight& step, const StepRows& rows, std::span<SampledToken> drawn);
  void AppendSampled(Sequence& sequence, SampledToken& sampled);
  bool AppendToken(Sequence& sequence, GeneratedToken token);  // false: the request ended
  void Push(Sequence& sequence, Event event);
  void Finish(Sequence& sequence, StopReason reason, std::optional<RequestError> error = std::nullopt);
  void Fail(Sequence& sequence, std::string message);
  void Fail(Sequence& sequence, const std::exception_ptr& failure);

  Executor& executor_;
  const int32_t most_in_flight_;
  Scheduler scheduler_;
  Speculation speculation_;
  std::map<RequestId, std::shared_ptr<Sequence>> sequences_;
  RequestId next_id_ = 1;
  struct Variant {
    RoutingPolicy routing;
    int32_t adapter;
    bool operator==(const Variant&) const = default;
  };
  std::vector<Variant> variants_;  // the first ones seen; KV is shared only under the same one
  std::vector<RequestId> changed_, taken_changed_;
  uint64_t change_list_ = 1;

  Scheduler::Plan plan_;
  std::array<StepInFlight, 2> steps_;  // those in flight are oldest_ and then the other
  size_t oldest_ = 0, in_flight_ = 0;
  EngineClock::time_point last_end_;  // of a step

  std::function<void()> between_steps_;
  int64_t between_every_ = 0, since_between_ = 0;

  int64_t step_ = 0;                         // steps that ran to their end
  std::vector<RoutedRows> observed_layers_;  // [L], kept between steps
  std::vector<std::span<const float>> observed_logits_;
  StageTotals decode_totals_, prefill_totals_;
};

}  // namespace oxidized
