// One step from its plan to its results: the arrays behind its StepBatch, a record for each sequence's rows,
// and what the executor gives back. The engine has two of them and uses them in turn, so that a decode step
// allocates nothing. Made by engine.cc, read by advance.cc.
#pragma once

#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "executor/executor.h"

namespace oxidized {

// The rows of one sequence in one step, and where its samples are. It says all that Advance must know of the
// step, since the sequence goes on meanwhile: it may have ended (then the rows are void) or got tokens that
// nobody sampled (then the draw is).
struct StepRows {
  std::shared_ptr<Sequence> sequence;
  int64_t first_position = 0;
  int32_t first_row = 0;  // of the step
  int32_t rows = 0;       // drafts included; 0: none, but a failure of the step is one of the sequence
  int32_t drafted = 0;
  bool decode = false;  // its one pending token, and drafts
  // Samples of the step, in this order: scores of prompt tokens, then draws.
  size_t first_sample = 0;
  int32_t scored = 0;
  int64_t first_scored = 0;  // position
  int32_t drawn = 0;         // 0, or 1 + drafted
};

class StepInFlight {
 public:
  void Clear(size_t num_groups);
  // `late_masks`: masks of controllers are asked for by Masks().
  void Add(const ScheduledRows& scheduled, bool late_masks);
  void AddAdmitted(Sequence& sequence);  // whom the step's failure ends, with rows in it or without
  StepBatch Batch();                     // lives until Clear

  std::span<const StepRows> rows() const { return rows_; }
  int32_t num_tokens() const { return static_cast<int32_t>(token_ids_.size()); }
  std::span<const int32_t> DraftOf(const StepRows& rows) const;
  bool drafts() const { return drafts_; }
  bool has_late_masks() const { return !late_.empty(); }
  // Of the late samples, in order, as their sequences stand now.
  std::span<const TokenMask* const> Masks();
  void Forget();  // lets the sequences go

  StepTicket ticket;
  std::exception_ptr error;  // of its submission: it comes out when its turn comes
  bool masks_given = false;
  EngineClock::time_point submitted;
  StepResult result;

 private:
  std::vector<StepRows> rows_;
  std::vector<int32_t> token_ids_, query_start_, slot_, policy_, adapter_;
  std::vector<int64_t> positions_, context_len_;
  std::vector<RoutingPolicy> policies_;
  std::vector<SampleSpec> samples_;
  std::vector<LogitsSink*> logits_;
  struct Group {
    std::vector<int32_t> offsets, block_ids;
    std::vector<int64_t> first_position;
  };
  std::vector<Group> groups_;
  std::vector<BlockTables> kv_;
  StepTaps taps_;
  bool router_logits_ = false, drafts_ = false;
  std::vector<Sequence*> late_;  // of each late sample
  std::vector<const TokenMask*> masks_;
};

}  // namespace oxidized
