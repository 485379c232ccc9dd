// Which sequences add which rows to the next step. Knows KV blocks and slots, and nothing of tokens' meaning.
//
// Policy: sequences run in order of (priority, arrival). Every sequence with one pending token (decode) gets
// its row; what is left of the token budget goes to prefill chunks in the same order. Waiting sequences are
// admitted in order while a slot and blocks for their next rows are there. When blocks run out, the last
// sequence in the order gives everything back and waits (preemption by recomputation: positions key the
// random numbers, so its tokens come out the same). Drafts (Sequence::draft) get rows that nobody
// else has a use for in this step, or are dropped.
//
// What begins like something kept resumes behind it (kv/prefix_tree.h), and what begins like something that
// is being computed waits for it: of a thousand chats behind one message that come together, one reads it.
//
// A step may be planned ahead, while the one before it runs: with rows of known tokens, admissions, and a row
// for each token that the running step is about to sample. Such a plan only takes. What needs the results of
// the running step first (giving up a sequence, drafts, letting go of blocks behind a window) is for
// Schedule, and then nothing goes ahead at all: a step with some of the rows would read all weights too.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/sequence.h"
#include "executor/executor.h"
#include "kv/prefix_tree.h"

namespace oxidized {

struct ScheduledRows {
  Sequence* sequence;
  int32_t rows;  // from Sequence::planned() on: known tokens, or the one about to be sampled; then drafts
  int32_t drafted = 0;
};

class Scheduler {
 public:
  // `chunk_tokens`: most rows that one sequence's prefill adds to a step; 0: no limit but the step's.
  Scheduler(const ExecutorInfo& info, int32_t chunk_tokens);
  Scheduler(const Scheduler&) = delete;  // prefixes_ refers to pools_
  Scheduler& operator=(const Scheduler&) = delete;

  void Add(Sequence* sequence);     // to the waiting ones
  void Remove(Sequence* sequence);  // gives back its slot and blocks, whatever of it is in flight
  // More of it is computed: others can resume behind it, and blocks that no later row can see are given back.
  void Advanced(Sequence& sequence);
  // Others will probably go on from here: keeps what is computed to its last token, and the window behind it.
  void KeepPrefix(Sequence& sequence);
  // What was computed for it is not to be trusted.
  void DiscardPrefix(Sequence& sequence);

  struct Plan {
    std::vector<ScheduledRows> rows;
    std::vector<Sequence*> admitted;   // got a slot: the executor must be told
    std::vector<BlockCopy> copies;     // to be carried out before the rows
    std::vector<Sequence*> exhausted;  // cannot go on even alone: no KV memory left
    void Clear() {
      rows.clear();
      admitted.clear();
      copies.clear();
      exhausted.clear();
    }
  };
  // Takes the blocks that the plan's rows need. Nothing is in flight.
  void Schedule(Plan& plan);
  // The same while a step runs; false: nothing can go ahead, and nobody was admitted.
  bool ScheduleAhead(Plan& plan);
  std::span<Sequence* const> running() const { return running_; }

  const std::vector<BlockPool>& pools() const { return pools_; }  // of each KV group
  bool idle() const { return running_.empty() && waiting_.empty(); }
  // Blocks of a whole sequence of this many tokens, in every group, exist at all.
  bool CanEverHold(int64_t tokens) const;
  // Every block is free or held by exactly the tables that name it; every slot is free or used once. For
  // tests.
  bool Intact() const;
  int64_t prefix_nodes() const { return prefixes_.num_nodes(); }

 private:
  bool Admit(Plan& plan, bool ahead);
  void Withdraw(Plan& plan);
  int64_t RowsAhead(const Sequence& sequence) const;
  int64_t ChunkOf(int64_t pending, int64_t& prefill_budget) const;
  void Publish(Sequence& sequence);
  void Resume(Sequence& sequence, std::vector<BlockCopy>& copies);
  bool TakeBlocks(Sequence& sequence, int64_t rows);
  bool TryTakeBlocks(Sequence& sequence, int64_t rows);
  std::optional<size_t> LackingGroup(const Sequence& sequence, int64_t rows) const;
  void SlideWindows(Sequence& sequence);
  bool FollowsAnother(Sequence& sequence);
  int64_t BlocksNotRunning(size_t group) const;
  void PlaceDrafts(Plan& plan, int64_t budget);
  void GiveBack(Sequence& sequence);
  void SetAside(Sequence* sequence);
  void Preempt(Sequence* sequence, Plan& plan);
  static bool Before(const Sequence* a, const Sequence* b);
  static void Insert(std::vector<Sequence*>& list, Sequence* sequence);

  const ExecutorInfo& info_;
  int32_t chunk_tokens_;
  std::vector<BlockPool> pools_;
  PrefixTree prefixes_;
  std::vector<int32_t> free_slots_;
  std::vector<Sequence*> running_;  // both in scheduling order
  std::vector<Sequence*> waiting_;
};

}  // namespace oxidized
