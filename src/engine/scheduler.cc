#include "engine/scheduler.h"

#include <algorithm>

#include "kv/kv_layout.h"

namespace oxidized {
namespace {

// The tokens of steps that have ended well: what others may resume behind.
std::span<const int32_t> Computed(const Sequence& sequence) {
  return std::span(sequence.tokens).first(static_cast<size_t>(sequence.computed));
}

}  // namespace

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
  prefixes_.Leave(sequence.place);
  for (Sequence* waiting : waiting_) {
    if (waiting->leader == &sequence) waiting->leader = nullptr;
  }
  for (size_t g = 0; g < pools_.size(); ++g) sequence.tables[g].ReleaseAll(pools_[g]);
  if (sequence.slot >= 0) free_slots_.push_back(sequence.slot);
  sequence.slot = -1;
  sequence.computed = sequence.in_flight = 0;
  sequence.draft.clear();
}

// Back to the waiting ones.
void Scheduler::SetAside(Sequence* sequence) {
  GiveBack(*sequence);
  std::erase(running_, sequence);
  Insert(waiting_, sequence);
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
  ++sequence->stats.preemptions;
  SetAside(sequence);
}

// As if the plan had not been made, but for prefixes that gave way to it.
void Scheduler::Withdraw(Plan& plan) {
  for (size_t i = plan.admitted.size(); i-- > 0;) SetAside(plan.admitted[i]);
  plan.Clear();
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

// The oldest key that the row at position `computed` sees is at computed - window + 1. Rows in flight come
// later and see no older ones; and should they turn out void, the prefix up to `computed` is whole.
void Scheduler::SlideWindows(Sequence& sequence) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const int64_t window = info_.kv_windows[g];
    if (window > 0) sequence.tables[g].ReleaseBefore(sequence.computed - window + 1, pools_[g]);
  }
}

// The first group that has not the blocks for the next `rows` tokens.
std::optional<size_t> Scheduler::LackingGroup(const Sequence& sequence, int64_t rows) const {
  const int64_t end = sequence.planned() + rows;
  for (size_t g = 0; g < pools_.size(); ++g) {
    const BlockTable& table = sequence.tables[g];
    const int64_t missing = BlocksFor(end - table.first_position) - static_cast<int64_t>(table.blocks.size());
    if (missing > pools_[g].num_free()) return g;
  }
  return std::nullopt;
}

// All or nothing: blocks for the next `rows` tokens in every group.
bool Scheduler::TryTakeBlocks(Sequence& sequence, int64_t rows) {
  if (LackingGroup(sequence, rows)) return false;
  for (size_t g = 0; g < pools_.size(); ++g) {
    BlockTable& table = sequence.tables[g];
    while (table.end_position() < sequence.planned() + rows) table.blocks.push_back(pools_[g].Allocate());
  }
  return true;
}

// The same, letting go of kept prefixes as far as that helps.
bool Scheduler::TakeBlocks(Sequence& sequence, int64_t rows) {
  if (sequence.in_flight == 0) SlideWindows(sequence);  // a prefix it resumed from may begin earlier
  while (const std::optional<size_t> group = LackingGroup(sequence, rows)) {
    if (!prefixes_.Evict(*group)) return false;
  }
  return TryTakeBlocks(sequence, rows);
}

// Whole blocks that are new since the last time; what the request wants kept among them is pinned while its
// blocks are still there.
void Scheduler::Publish(Sequence& sequence) {
  if (sequence.variant < 0) return;
  const int64_t before = sequence.place.tokens;
  prefixes_.Publish(sequence.variant, Computed(sequence), sequence.tables, sequence.place);
  for (const int64_t position : sequence.request.keep_at) {
    if (position >= before && position <= sequence.computed) prefixes_.PinWindow(sequence.place, position);
  }
}

void Scheduler::Advanced(Sequence& sequence) {
  Publish(sequence);
  SlideWindows(sequence);
}

void Scheduler::KeepPrefix(Sequence& sequence) {
  if (sequence.variant < 0) return;
  Publish(sequence);
  prefixes_.Keep(sequence.variant, Computed(sequence), sequence.tables, sequence.place);
}

void Scheduler::DiscardPrefix(Sequence& sequence) { prefixes_.Discard(sequence.place); }

void Scheduler::Resume(Sequence& sequence, std::vector<BlockCopy>& copies) {
  if (sequence.variant < 0) return;
  // At least one token must be computed: its logits are wanted.
  const auto limit = static_cast<int64_t>(sequence.tokens.size()) - 1;
  sequence.computed =
      prefixes_.Resume(sequence.variant, sequence.tokens, limit, sequence.tables, copies, sequence.place);
}

// Whether a running sequence is about to compute the next whole block that this one could resume behind. One
// that comes later in the order is not waited for: those between the two would come first.
bool Scheduler::FollowsAnother(Sequence& sequence) {
  if (sequence.variant < 0 || sequence.stats.preemptions > 0) return false;
  const auto leads = [&](const Sequence& other) {
    return other.place.tokens + kKvBlockTokens <= sequence.common_with_leader;
  };
  if (sequence.leader != nullptr && leads(*sequence.leader)) return true;
  sequence.leader = nullptr;
  const auto limit = std::span(sequence.tokens).first(sequence.tokens.size() - 1);
  std::optional<int64_t> reusable;
  for (Sequence* other : running_) {
    if (other->variant != sequence.variant || Before(&sequence, other)) continue;
    const auto differ = std::mismatch(limit.begin(), limit.end(), other->tokens.begin(), other->tokens.end());
    sequence.common_with_leader = differ.first - limit.begin();
    if (!leads(*other)) continue;
    if (!reusable) {
      reusable = prefixes_.Reusable(sequence.variant, sequence.tokens, static_cast<int64_t>(limit.size()));
    }
    if (other->place.tokens < *reusable) continue;  // it computes what is there already
    sequence.leader = other;
    return true;
  }
  return false;
}

// Free blocks, and those that only kept prefixes hold.
int64_t Scheduler::BlocksNotRunning(size_t group) const {
  std::vector<bool> running(static_cast<size_t>(pools_[group].num_blocks()), false);
  for (const Sequence* sequence : running_) {
    for (const int32_t block : sequence->tables[group].blocks) running[static_cast<size_t>(block)] = true;
  }
  return std::count(running.begin(), running.end(), false);
}

// Gives slots; blocks are taken with the rows, like everybody's. False: one that must not go ahead came up.
bool Scheduler::Admit(Plan& plan, bool ahead) {
  for (size_t i = 0; i < waiting_.size() && !free_slots_.empty();) {
    Sequence* sequence = waiting_[i];
    if (FollowsAnother(*sequence)) {
      ++i;
      continue;
    }
    // One that was preempted comes back only when its whole prefix fits beside the others.
    if (sequence->stats.preemptions > 0 && !running_.empty()) {
      bool fits = true;
      for (size_t g = 0; g < pools_.size(); ++g) {
        if (info_.kv_windows[g] == 0) fits &= BlocksFor(sequence->pending() + 1) <= BlocksNotRunning(g);
      }
      if (!fits) break;
    }
    if (ahead && sequence->holds_steps) return false;
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
    sequence->slot = free_slots_.back();
    free_slots_.pop_back();
    Insert(running_, sequence);
    Resume(*sequence, plan.copies);
    plan.admitted.push_back(sequence);
  }
  return true;
}

void Scheduler::Schedule(Plan& plan) {
  plan.Clear();
  Admit(plan, false);

  const auto decoding =
      std::count_if(running_.begin(), running_.end(), [](const Sequence* s) { return s->pending() == 1; });
  int64_t prefill_budget = info_.max_step_tokens - decoding;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence* sequence = running_[i];
    const int64_t rows = ChunkOf(sequence->pending(), prefill_budget);
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

// Known tokens that are not submitted yet, or the one that the step in flight is about to sample. None where
// that will be the last token: a row that is void for certain is not computed.
int64_t Scheduler::RowsAhead(const Sequence& sequence) const {
  const int64_t pending = sequence.pending();
  return pending > 0 ? pending : sequence.GoesOn(info_.max_context) ? 1 : 0;
}

bool Scheduler::ScheduleAhead(Plan& plan) {
  plan.Clear();
  const auto holds = [](const Sequence* s) { return s->holds_steps; };
  bool possible = std::none_of(running_.begin(), running_.end(), holds) && Admit(plan, true);
  const auto decoding =
      std::count_if(running_.begin(), running_.end(), [&](const Sequence* s) { return RowsAhead(*s) == 1; });
  int64_t prefill_budget = info_.max_step_tokens - decoding;
  for (size_t i = 0; possible && i < running_.size(); ++i) {
    Sequence* sequence = running_[i];
    const int64_t rows = ChunkOf(RowsAhead(*sequence), prefill_budget);
    if (rows <= 0) continue;
    if (TakeBlocks(*sequence, rows)) {
      plan.rows.push_back({sequence, static_cast<int32_t>(rows)});
    } else {
      // Only the last in the order may wait in place as it would otherwise, and only if it did so before:
      // the running step gives back blocks of the others.
      possible = i + 1 == running_.size() && sequence->in_flight == 0;
    }
  }
  if (!possible || plan.rows.empty()) Withdraw(plan);
  return !plan.rows.empty();
}

// Rows of a sequence with so many pending: decode rows are set aside in the budget.
int64_t Scheduler::ChunkOf(int64_t pending, int64_t& prefill_budget) const {
  if (pending <= 1) return pending;
  const int64_t rows = std::min({pending, prefill_budget, static_cast<int64_t>(chunk_tokens_)});
  prefill_budget -= rows;
  return rows;
}

// After everybody has what they need: no draft costs anyone a place. A block for one may cost the longest
// unused prefix, as the tokens that come next would. Where a prompt is read there are no drafts, it fills the
// step better.
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
    if (!decoding || drafted > budget || !TakeBlocks(*rows.sequence, 1 + drafted)) {
      draft.clear();
      continue;
    }
    rows.drafted = static_cast<int32_t>(drafted);
    rows.rows += rows.drafted;
    budget -= drafted;
  }
}

bool Scheduler::Intact() const {
  if (!prefixes_.Intact()) return false;
  std::vector<std::vector<int32_t>> holders;
  for (size_t g = 0; g < pools_.size(); ++g) holders.push_back(prefixes_.Holders(g));
  std::vector<int32_t> slots(free_slots_);
  for (const Sequence* sequence : running_) {
    slots.push_back(sequence->slot);
    if (sequence->in_flight < 0 || sequence->finished) return false;
    for (size_t g = 0; g < pools_.size(); ++g) {
      const std::vector<int32_t>& blocks = sequence->tables[g].blocks;
      for (const int32_t block : blocks) ++holders[g][static_cast<size_t>(block)];
      // What a running sequence keeps from being let go is what it uses.
      const std::vector<int32_t> path = prefixes_.PathBlocks(sequence->place, g);
      if (info_.kv_windows[g] == 0 &&
          (path.size() > blocks.size() || !std::equal(path.begin(), path.end(), blocks.begin())))
        return false;
    }
  }
  for (const Sequence* sequence : waiting_) {
    if (sequence->place.node != -1 || sequence->place.tail != -1) return false;
    if (sequence->slot != -1 || sequence->planned() != 0 || sequence->finished) return false;
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
