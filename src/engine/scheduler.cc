#include "engine/scheduler.h"

#include <algorithm>

#include "kv/kv_layout.h"

namespace oxidized {

Scheduler::Scheduler(const ExecutorInfo& info, int32_t chunk_tokens)
    : info_(info),
      chunk_tokens_(chunk_tokens > 0 ? std::min(chunk_tokens, info.max_step_tokens) : info.max_step_tokens),
      pools_(info.kv_blocks.begin(), info.kv_blocks.end()),
      prefixes_(info.kv_windows, pools_) {
  for (int32_t slot = info.max_sequences; slot-- > 0;) free_slots_.push_back(slot);  // lowest is taken first
}

bool Scheduler::Before(const Sequence* a, const Sequence* b) {
  return a->request.priority > b->request.priority ||
         (a->request.priority == b->request.priority && a->id < b->id);
}

void Scheduler::Insert(std::vector<Sequence*>& list, Sequence* sequence) {
  list.insert(std::upper_bound(list.begin(), list.end(), sequence, Before), sequence);
}

void Scheduler::Add(Sequence* sequence) {
  sequence->tables.resize(pools_.size());
  Insert(waiting_, sequence);
}

void Scheduler::GiveBack(Sequence& sequence) {
  for (size_t g = 0; g < pools_.size(); ++g) sequence.tables[g].ReleaseAll(pools_[g]);
  if (sequence.slot >= 0) free_slots_.push_back(sequence.slot);
  sequence.slot = -1;
  sequence.computed = 0;
  sequence.draft.clear();
}

void Scheduler::Remove(Sequence* sequence) {
  GiveBack(*sequence);
  std::erase(running_, sequence);
  std::erase(waiting_, sequence);
}

void Scheduler::Preempt(Sequence* sequence, Plan& plan) {
  if (std::erase(plan.admitted, sequence) > 0) {  // its copies would go to blocks that are no longer its own
    std::erase_if(plan.copies, [&](const BlockCopy& copy) {
      const auto& blocks = sequence->tables[static_cast<size_t>(copy.group)].blocks;
      return std::find(blocks.begin(), blocks.end(), copy.to) != blocks.end();
    });
  }
  GiveBack(*sequence);
  ++sequence->stats.preemptions;
  std::erase(running_, sequence);
  Insert(waiting_, sequence);
}

bool Scheduler::CanEverHold(int64_t tokens) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const int64_t window = info_.kv_windows[g];
    // A sliding table holds the window behind a chunk and the chunk; the first block may be partly behind the
    // window.
    const int64_t held = window == 0 ? tokens : std::min(tokens, window + chunk_tokens_ + kKvBlockTokens);
    if (BlocksFor(held) > pools_[g].num_blocks()) return false;
  }
  return true;
}

// All or nothing: blocks for the next `rows` tokens in every group, after letting go of what lies behind the
// windows.
bool Scheduler::TryTakeBlocks(Sequence& sequence, int64_t rows) {
  const int64_t end = sequence.computed + rows;
  bool enough = true;
  for (size_t g = 0; g < pools_.size(); ++g) {
    BlockTable& table = sequence.tables[g];
    // The oldest key the first new row sees is at computed - window + 1.
    if (info_.kv_windows[g] > 0) table.ReleaseBefore(sequence.computed - info_.kv_windows[g] + 1, pools_[g]);
    const int64_t missing = BlocksFor(end - table.first_position) - static_cast<int64_t>(table.blocks.size());
    enough &= missing <= pools_[g].num_free();
  }
  if (!enough) return false;
  for (size_t g = 0; g < pools_.size(); ++g) {
    BlockTable& table = sequence.tables[g];
    while (table.end_position() < end) table.blocks.push_back(pools_[g].Allocate());
  }
  return true;
}

// The same, letting go of kept prefixes as far as that helps.
bool Scheduler::TakeBlocks(Sequence& sequence, int64_t rows) {
  do {
    if (TryTakeBlocks(sequence, rows)) return true;
  } while (prefixes_.EvictOldest());
  return false;
}

void Scheduler::KeepPrefix(const Sequence& sequence) {
  if (sequence.variant < 0) return;
  prefixes_.Keep(sequence.variant, std::span(sequence.tokens).first(static_cast<size_t>(sequence.computed)),
                 sequence.tables);
}

void Scheduler::Resume(Sequence& sequence, std::vector<BlockCopy>& copies) {
  if (sequence.variant < 0) return;
  // At least one token must be computed: its logits are wanted.
  const auto limit = static_cast<int64_t>(sequence.tokens.size()) - 1;
  sequence.computed = prefixes_.Resume(sequence.variant, sequence.tokens, limit, sequence.tables, copies);
}

// Gives slots; blocks are taken with the rows, like everybody's.
void Scheduler::Admit(Plan& plan) {
  while (!waiting_.empty() && !free_slots_.empty()) {
    Sequence* sequence = waiting_.front();
    // One that was preempted comes back only when its whole prefix fits beside the others.
    if (sequence->stats.preemptions > 0 && !running_.empty()) {
      bool fits = true;
      for (size_t g = 0; g < pools_.size(); ++g) {
        if (info_.kv_windows[g] == 0) fits &= BlocksFor(sequence->pending() + 1) <= pools_[g].num_free();
      }
      if (!fits) break;
    }
    waiting_.erase(waiting_.begin());
    sequence->slot = free_slots_.back();
    free_slots_.pop_back();
    Insert(running_, sequence);
    Resume(*sequence, plan.copies);
    plan.admitted.push_back(sequence);
  }
}

void Scheduler::Schedule(Plan& plan) {
  plan.rows.clear();
  plan.admitted.clear();
  plan.copies.clear();
  plan.exhausted.clear();
  Admit(plan);

  const auto decoding =
      std::count_if(running_.begin(), running_.end(), [](const Sequence* s) { return s->pending() == 1; });
  int64_t prefill_budget = info_.max_step_tokens - decoding;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence* sequence = running_[i];
    const int64_t pending = sequence->pending();
    int64_t rows = pending;
    if (pending > 1) {
      rows = std::min({pending, prefill_budget, static_cast<int64_t>(chunk_tokens_)});
      prefill_budget -= rows;
    }
    if (rows <= 0) continue;
    bool taken = TakeBlocks(*sequence, rows);
    while (!taken &&
           running_.size() > i + 1) {  // the last in the order gives way; it has no rows in this plan yet
      Sequence* victim = running_.back();
      Preempt(victim, plan);
      taken = TakeBlocks(*sequence, rows);
    }
    if (taken) {
      plan.rows.push_back({sequence, static_cast<int32_t>(rows)});
    } else if (i == 0) {
      plan.exhausted.push_back(sequence);  // alone and still without room
    }
    // Otherwise it waits in place, with what it holds, until those before it end or move on.
  }
  PlaceDrafts(plan, info_.max_step_tokens);
}

// After everybody has what they need: no block is taken for a draft that would cost anyone a kept prefix or a
// place. Where a prompt is read there are none, it fills the step better.
void Scheduler::PlaceDrafts(Plan& plan, int64_t budget) {
  bool decoding = true;
  for (const ScheduledRows& rows : plan.rows) {
    decoding &= rows.sequence->pending() == 1;
    budget -= rows.rows;
  }
  for (ScheduledRows& rows : plan.rows) {
    std::vector<int32_t>& draft = rows.sequence->draft;
    if (draft.empty()) continue;
    const auto drafted = static_cast<int64_t>(draft.size());
    if (!decoding || drafted > budget || !TryTakeBlocks(*rows.sequence, 1 + drafted)) {
      draft.clear();
      continue;
    }
    rows.rows += static_cast<int32_t>(drafted);
    budget -= drafted;
  }
}

bool Scheduler::Intact() const {
  std::vector<std::vector<int32_t>> holders;
  for (size_t g = 0; g < pools_.size(); ++g) holders.push_back(prefixes_.Holders(g));
  std::vector<int32_t> slots(free_slots_);
  for (const Sequence* sequence : running_) {
    slots.push_back(sequence->slot);
    for (size_t g = 0; g < pools_.size(); ++g) {
      for (const int32_t block : sequence->tables[g].blocks) ++holders[g][static_cast<size_t>(block)];
    }
  }
  for (const Sequence* sequence : waiting_) {
    if (sequence->slot != -1) return false;
    for (const BlockTable& table : sequence->tables) {
      if (!table.blocks.empty()) return false;
    }
  }
  for (size_t g = 0; g < pools_.size(); ++g) {
    int32_t free_blocks = 0;
    for (int32_t block = 0; block < pools_[g].num_blocks(); ++block) {
      if (pools_[g].holders(block) != holders[g][static_cast<size_t>(block)]) return false;
      free_blocks += pools_[g].holders(block) == 0;
    }
    if (free_blocks != pools_[g].num_free()) return false;
  }
  std::sort(slots.begin(), slots.end());
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] != static_cast<int32_t>(i)) return false;
  }
  return static_cast<int32_t>(slots.size()) == info_.max_sequences;
}

}  // namespace oxidized
