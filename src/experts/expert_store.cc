#include "experts/expert_store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"

namespace oxidized {

ExpertStore::ExpertStore(const ExpertStoreOptions& options, const WeightsView& weights, ExpertFileMap map,
                         std::unique_ptr<BlockReader> reader)
    : weights_(weights),
      map_(std::move(map)),
      prefetch_(options.prefetch),
      policy_(MakeEvictionPolicy(options.eviction, map_.num_layers(), map_.num_experts())),
      reader_(std::move(reader)) {
  OX_CHECK(options.slots > 0 && map_.num_stored() > 0);
  const auto slots = static_cast<size_t>(std::min<int64_t>(options.slots, map_.num_stored()));
  pool_ = AlignedBuffer<std::byte>("expert pool", MemoryClass::kExperts,
                                   slots * static_cast<size_t>(map_.slot_bytes()));
  AdviseHugePages(pool_.data(), pool_.size());
  slots_.resize(slots);
  for (size_t i = slots; i > 0; --i) free_.push_back(static_cast<int32_t>(i - 1));
  const size_t keys = static_cast<size_t>(map_.num_layers()) * static_cast<size_t>(map_.num_experts());
  slot_of_.assign(keys, -1);
  in_wanted_.assign(keys, -1);
  accounts_.resize(keys);
  const auto experts = static_cast<size_t>(map_.num_experts());
  for (auto* list : {&ready_, &taken_}) list->reserve(experts);
  wanted_.reserve(experts);
  unread_.reserve(experts);
  hints_.reserve(experts);
  hinted_.reserve(experts);
  counters_.layers.resize(static_cast<size_t>(map_.num_layers()));
  counters_.budget_experts = static_cast<int64_t>(slots);
  reader_->OnDone([this](const BlockRead& read, const std::string& error) { OnRead(read, error); });
}

// The reader ends next: reads that land meanwhile must not begin others.
ExpertStore::~ExpertStore() {
  std::lock_guard lock(mutex_);
  UnpinTaken();
  AbandonRequest();
  hints_.clear();
}

void ExpertStore::Request(int32_t layer, std::span<const int32_t> experts) {
  std::lock_guard lock(mutex_);
  UnpinTaken();
  AbandonRequest();
  error_.clear();
  ++request_;
  // All pins before the first read: what is here must not make room for what is not.
  for (const int32_t expert : experts) {
    const ExpertId id{layer, expert};
    const bool stored = map_.stored(layer, expert);
    in_wanted_[Key(id)] = static_cast<int32_t>(wanted_.size());
    wanted_.push_back({.id = id, .pinned = stored});
    if (!stored) continue;
    policy_->OnAccess(id);
    policy_->Pin(id);
  }
  not_given_ = wanted_.size();
  DropHints();

  ExpertCacheLayer& count = counters_.layers[static_cast<size_t>(layer)];
  for (size_t i = wanted_.size(); i > 0; --i) {  // unread_ is taken from its end
    const auto index = static_cast<int32_t>(i - 1);
    const size_t key = Key(wanted_[i - 1].id);
    ExpertAccount& account = accounts_[key];
    ++account.uses;
    const int32_t at = slot_of_[key];
    if (at < 0) {
      const bool stored = map_.stored(layer, wanted_[i - 1].id.expert);
      ++(stored ? count.misses : count.hits);
      account.misses += stored ? 1 : 0;
      if (stored) unread_.push_back(index);
      if (!stored) Give(index);
      continue;
    }
    Slot& slot = slots_[static_cast<size_t>(at)];
    if (slot.prefetched) ++count.prefetch_hits;
    slot.prefetched = false;
    if (slot.state == State::kReady) {
      ++count.hits;
      Give(index);
    } else {
      ++count.late;
      reader_->Promote(static_cast<uint64_t>(at));
    }
  }
  StartReads();
}

std::span<const ReadyExpert> ExpertStore::TakeReady() {
  std::unique_lock lock(mutex_);
  UnpinTaken();
  StartReads();
  const auto there = [this] { return !ready_.empty() || not_given_ == 0 || !error_.empty(); };
  if (!there()) {
    const auto begin = std::chrono::steady_clock::now();
    arrived_.wait(lock, there);
    const std::chrono::duration<double, std::micro> waited = std::chrono::steady_clock::now() - begin;
    counters_.layers[static_cast<size_t>(wanted_.front().id.layer)].stall_microseconds += waited.count();
  }
  if (!error_.empty()) {
    AbandonRequest();
    throw Error(ErrorKind::kRequestFailed, error_);
  }
  std::swap(taken_, ready_);
  ready_.clear();
  if (taken_.empty()) AbandonRequest();  // all were taken: nothing is left but the list
  return taken_;
}

void ExpertStore::Prefetch(int32_t layer, std::span<const int32_t> experts) {
  if (!prefetch_) return;
  std::lock_guard lock(mutex_);
  hints_.clear();
  for (size_t i = experts.size(); i > 0; --i) {
    const ExpertId id{layer, experts[i - 1]};
    if (map_.stored(layer, id.expert)) hints_.push_back(id);
  }
  StartReads();
}

// Hands an expert of the request to the next portion.
void ExpertStore::Give(int32_t index) {
  Wanted& wanted = wanted_[static_cast<size_t>(index)];
  const int32_t at = slot_of_[Key(wanted.id)];
  wanted.given = true;
  --not_given_;
  if (at >= 0) {
    const Slot& slot = slots_[static_cast<size_t>(at)];
    ready_.push_back({index, &slot.gate_up, &slot.down});
  } else {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(wanted.id.layer)];
    const auto e = static_cast<size_t>(wanted.id.expert);
    ready_.push_back({index, &w.gate_up[e], &w.down[e]});
  }
}

void ExpertStore::UnpinTaken() {
  for (const ReadyExpert& taken : taken_) {
    Wanted& wanted = wanted_[static_cast<size_t>(taken.index)];
    if (wanted.pinned) policy_->Unpin(wanted.id);
    wanted.pinned = false;
  }
  taken_.clear();
}

void ExpertStore::AbandonRequest() {
  for (const Wanted& wanted : wanted_) {
    if (wanted.pinned) policy_->Unpin(wanted.id);
    in_wanted_[Key(wanted.id)] = -1;
  }
  wanted_.clear();
  unread_.clear();
  ready_.clear();
  not_given_ = 0;
}

// The guesses end with the request they were made for: a wrong one that has not been read gives its slot and
// its share of the disk back at once.
void ExpertStore::DropHints() {
  hints_.clear();
  for (const ExpertId id : hinted_) {
    policy_->Unpin(id);
    const int32_t at = slot_of_[Key(id)];
    if (at < 0 || in_wanted_[Key(id)] >= 0) continue;
    Slot& slot = slots_[static_cast<size_t>(at)];
    if (slot.state != State::kReading) continue;
    const int dropped = reader_->Cancel(static_cast<uint64_t>(at));
    if (dropped == 0) continue;
    slot.failed = true;
    slot.reads_left -= dropped;
    if (slot.reads_left == 0) EndRead(at);
  }
  hinted_.clear();
}

void ExpertStore::StartReads() {
  while (!unread_.empty()) {
    const ExpertId id = wanted_[static_cast<size_t>(unread_.back())].id;
    const int32_t slot = FindRoom();
    if (slot < 0) return;
    unread_.pop_back();
    BeginRead(id, slot, /*urgent=*/true);
  }
  while (!hints_.empty()) {
    const ExpertId id = hints_.back();
    const bool resident = slot_of_[Key(id)] >= 0;
    const int32_t slot = resident ? -1 : FindRoom();
    if (!resident && slot < 0) return;
    hints_.pop_back();
    policy_->Pin(id);
    hinted_.push_back(id);
    if (!resident) BeginRead(id, slot, /*urgent=*/false);
  }
}

// A free slot, or one whose expert the policy gives up; -1: every expert is pinned.
int32_t ExpertStore::FindRoom() {
  if (!free_.empty()) {
    const int32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  const std::optional<ExpertId> victim = policy_->Evict();
  if (!victim) return -1;
  ++counters_.layers[static_cast<size_t>(victim->layer)].evictions;
  const int32_t slot = std::exchange(slot_of_[Key(*victim)], -1);
  slots_[static_cast<size_t>(slot)] = {};
  return slot;
}

// The slot is pinned for as long as it is being filled.
void ExpertStore::BeginRead(ExpertId id, int32_t at, bool urgent) {
  Slot& slot = slots_[static_cast<size_t>(at)];
  slot = {};
  slot.state = State::kReading;
  slot.prefetched = !urgent;
  slot.request = urgent ? request_ : 0;
  slot.id = id;
  slot_of_[Key(id)] = at;
  policy_->Pin(id);
  policy_->OnInsert(id);
  if (!urgent) ++counters_.layers[static_cast<size_t>(id.layer)].prefetches;
  reads_.clear();
  map_.AppendReads(id.layer, id.expert, static_cast<uint64_t>(at), Memory(at), reads_);
  slot.reads_left = static_cast<int32_t>(reads_.size());
  reader_->Submit(reads_, urgent);
}

void ExpertStore::OnRead(const BlockRead& read, const std::string& error) {
  std::lock_guard lock(mutex_);
  const auto at = static_cast<int32_t>(read.tag);
  Slot& slot = slots_[static_cast<size_t>(at)];
  OX_CHECK(slot.state == State::kReading && slot.reads_left > 0);
  if (!error.empty()) {
    slot.failed = true;
    // What failed for a guess or an earlier request is not an error of this one: it is read again if wanted.
    if (in_wanted_[Key(slot.id)] >= 0 && slot.request == request_) error_ = error;
  }
  counters_.layers[static_cast<size_t>(slot.id.layer)].bytes_read += read.needed;
  accounts_[Key(slot.id)].bytes_read += read.needed;
  if (--slot.reads_left == 0) EndRead(at);
  StartReads();
  arrived_.notify_one();
}

void ExpertStore::EndRead(int32_t at) {
  Slot& slot = slots_[static_cast<size_t>(at)];
  const ExpertId id = slot.id;
  policy_->Unpin(id);
  const int32_t index = in_wanted_[Key(id)];
  if (slot.failed) {
    policy_->OnRemove(id);
    slot_of_[Key(id)] = -1;
    slot = {};
    free_.push_back(at);
    // Begun for somebody else, failed or dropped halfway, and wanted after all: once more, now in earnest.
    if (index >= 0 && error_.empty()) unread_.push_back(index);
    return;
  }
  slot.state = State::kReady;
  most_resident_ = std::max(most_resident_, policy_->num_resident());
  map_.Rebase(id.layer, id.expert, Memory(at), slot.gate_up, slot.down);
  if (index >= 0 && !wanted_[static_cast<size_t>(index)].given) Give(index);
}

ExpertCacheCounters ExpertStore::counters() const {
  std::lock_guard lock(mutex_);
  ExpertCacheCounters counters = counters_;
  counters.resident_experts =
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& s) { return s.state == State::kReady; });
  counters.resident_bytes = counters.resident_experts * map_.slot_bytes();
  return counters;
}

int64_t ExpertStore::most_resident() const {
  std::lock_guard lock(mutex_);
  return most_resident_;
}

std::vector<ExpertAccount> ExpertStore::accounts() const {
  std::lock_guard lock(mutex_);
  std::vector<ExpertAccount> accounts = accounts_;
  for (const Slot& slot : slots_) {
    if (slot.state == State::kReady) accounts[Key(slot.id)].resident = true;
  }
  return accounts;
}

}  // namespace oxidized
