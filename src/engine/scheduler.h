// Which sequences add which rows to the next step. Knows KV blocks and slots, and nothing of tokens' meaning.
//
// Policy: sequences run in order of (priority, arrival). Every sequence with one pending token (decode) gets
// its row; what is left of the token budget goes to prefill chunks in the same order. Waiting sequences are
// admitted in order while a slot and blocks for their next rows are there. When blocks run out, the last
// sequence in the order gives everything back and waits (preemption by recomputation: positions key the
// random numbers, so its tokens come out the same).
#pragma once

#include <cstdint>
#include <vector>

#include "engine/sequence.h"
#include "executor/executor.h"

namespace oxidized {

struct ScheduledRows {
  Sequence* sequence;
  int32_t rows;  // the next `rows` pending tokens
};

class Scheduler {
 public:
  // `chunk_tokens`: most rows that one sequence's prefill adds to a step; 0: no limit but the step's.
  Scheduler(const ExecutorInfo& info, int32_t chunk_tokens);

  void Add(Sequence* sequence);     // to the waiting ones
  void Remove(Sequence* sequence);  // gives back its slot and blocks

  struct Plan {
    std::vector<ScheduledRows> rows;
    std::vector<Sequence*> admitted;   // got a slot: the executor must be told
    std::vector<Sequence*> exhausted;  // cannot go on even alone: no KV memory left
  };
  // Takes the blocks that the plan's rows need.
  void Schedule(Plan& plan);

  bool idle() const { return running_.empty() && waiting_.empty(); }
  // Blocks of a whole sequence of this many tokens, in every group, exist at all.
  bool CanEverHold(int64_t tokens) const;
  // Every block is free or held by exactly the tables that name it; every slot is free or used once. For
  // tests.
  bool Intact() const;

 private:
  bool TakeBlocks(Sequence& sequence, int64_t rows);
  void GiveBack(Sequence& sequence);
  void Preempt(Sequence* sequence);
  static bool Before(const Sequence* a, const Sequence* b);
  static void Insert(std::vector<Sequence*>& list, Sequence* sequence);

  const ExecutorInfo& info_;
  int32_t chunk_tokens_;
  std::vector<BlockPool> pools_;
  std::vector<int32_t> free_slots_;
  std::vector<Sequence*> running_;  // both in scheduling order
  std::vector<Sequence*> waiting_;
};

}  // namespace oxidized
