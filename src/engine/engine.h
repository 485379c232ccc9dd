// Keeps an executor busy with many requests: submit, step, events, cancel.
//
// Not thread safe: one thread owns an engine and calls it. A request's result does not depend on its batch
// mates (if the executor is batch invariant): not on chunking, order of arrival, preemption or speculation.
#pragma once

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
};

class Engine {
 public:
  // `executor` must outlive the engine.
  explicit Engine(Executor& executor, const EngineOptions& options = {});

  // Why a request can never run (kUsage, kContextFull, kNoMemory); nullopt: it can. From any thread: it looks
  // at what never changes.
  std::optional<RequestError> Refusal(const Request& request) const;
  // Refuses what Refusal names; other requests are not touched.
  tl::expected<RequestId, RequestError> Submit(Request request);
  // Ends a request at the next step boundary; its Finished event says kCancelled. Unknown ids are ignored.
  void Cancel(RequestId id);

  // Runs one step if there is work. Returns whether there is more. Never throws for a request's sake: when
  // the executor fails, the requests of that step end with kError and the engine goes on.
  bool Step();

  std::vector<KvPoolUse> KvPools() const;

  // Called between steps, by the thread that steps; what it does must change no result.
  void AfterEachStep(std::function<void()> action) { after_step_ = std::move(action); }

  // The events of a request since the last call. After Finished was taken the id is forgotten.
  std::vector<Event> TakeEvents(RequestId id);

  const ExecutorInfo& info() const { return executor_.Info(); }
  // Since the engine began: steps in which every sequence decodes (a row each, and drafts), and all others.
  const StageTotals& decode_totals() const { return decode_totals_; }
  const StageTotals& prefill_totals() const { return prefill_totals_; }
  bool Intact() const { return scheduler_.Intact(); }  // for tests

 private:
  struct BatchBuffers;

  int32_t VariantOf(const Request& request);

  void RunPlan(const Scheduler::Plan& plan);
  void Advance(const ScheduledRows& rows, size_t first_row, int32_t total_rows, size_t& sample);
  void ObserveRouting(Sequence& sequence, RoutingPhase phase, int32_t first, int64_t begin, int64_t end,
                      int32_t total_rows);
  void AppendAccepted(Sequence& sequence, std::span<SampledToken> sampled, int32_t first, int32_t total_rows);
  void AppendSampled(Sequence& sequence, SampledToken& sampled);
  bool AppendToken(Sequence& sequence, GeneratedToken token);  // false: the request ended
  void FinishNotFinite(Sequence& sequence);
  void Finish(Sequence& sequence, StopReason reason, std::optional<RequestError> error = std::nullopt);

  Executor& executor_;
  std::function<void()> after_step_;
  Scheduler scheduler_;
  Speculation speculation_;
  std::map<RequestId, std::unique_ptr<Sequence>> sequences_;
  RequestId next_id_ = 1;
  std::vector<RoutingPolicy> variants_;  // policies seen; KV is shared only under the same one
  Scheduler::Plan plan_;
  std::shared_ptr<BatchBuffers> buffers_;
  StepResult result_;
  int64_t step_ = 0;                         // steps that ran to their end
  std::vector<RoutedRows> observed_layers_;  // [L], kept between steps
  std::vector<std::span<const float>> observed_logits_;
  StageTotals decode_totals_, prefill_totals_;
};

}  // namespace oxidized
