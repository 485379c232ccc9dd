// Experts on demand: a pool of slots, filled from the model's files by reads in the background, each slot one
// expert. Which expert makes room is the eviction policy's choice (moe/eviction_policy.h). Called by the
// executor through ExpertSource; the runtime owns it.
//
// Never a deadlock: an expert is pinned from its request until the executor has taken the next portion, a
// prefetched one until the next request begins, and reads always end. So whenever nothing can be evicted,
// some read is under way whose expert will be taken and let go.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "experts/block_reader.h"
#include "experts/expert_file_map.h"
#include "moe/eviction_policy.h"
#include "moe/expert_cache_counters.h"
#include "moe/expert_source.h"

namespace oxidized {

struct ExpertStoreOptions {
  int32_t slots = 0;  // 1 at least; more than there are experts are cut
  EvictionRule eviction = EvictionRule::kLru;
  bool prefetch = true;
};

// What one expert has cost so far.
struct ExpertAccount {
  int64_t uses = 0;
  int64_t misses = 0;
  int64_t bytes_read = 0;
  bool resident = false;
};

class ExpertStore final : public ExpertSource {
 public:
  // `weights` are the model's views, for experts that are in no file; they must outlive this.
  ExpertStore(const ExpertStoreOptions& options, const WeightsView& weights, ExpertFileMap map,
              std::unique_ptr<BlockReader> reader);
  ~ExpertStore() override;

  void Request(int32_t layer, std::span<const int32_t> experts) override;
  std::span<const ReadyExpert> TakeReady() override;
  bool wants_prefetch() const override { return prefetch_; }
  void Prefetch(int32_t layer, std::span<const int32_t> experts) override;

  // From any thread.
  ExpertCacheCounters counters() const;
  std::vector<ExpertAccount> accounts() const;  // [L * E]
  const char* reader_name() const { return reader_->name(); }
  const char* eviction_name() const { return policy_->name(); }
  const ExpertFileMap& map() const { return map_; }
  int32_t slots() const { return static_cast<int32_t>(slots_.size()); }
  int64_t slot_bytes() const { return map_.slot_bytes(); }
  int64_t most_resident() const;  // so far

 private:
  enum class State : uint8_t { kFree, kReading, kReady };
  struct Slot {
    State state = State::kFree;
    bool failed = false;      // of the read under way
    bool prefetched = false;  // read before it was asked for, and not used since
    ExpertId id;
    int64_t request = 0;  // that the read under way was begun for; 0: a guess
    int32_t reads_left = 0;
    ExpertView gate_up, down;
  };
  // One expert of the request under way.
  struct Wanted {
    ExpertId id;
    bool given = false;  // it is in ready_ or was taken
    bool pinned = false;
  };

  size_t Key(ExpertId id) const {
    return static_cast<size_t>(id.layer) * static_cast<size_t>(map_.num_experts()) +
           static_cast<size_t>(id.expert);
  }
  std::byte* Memory(int32_t slot) { return pool_.data() + slot * map_.slot_bytes(); }

  // All with the lock held.
  void Give(int32_t index);
  void UnpinTaken();
  void AbandonRequest();
  void DropHints();
  void StartReads();
  int32_t FindRoom();
  void BeginRead(ExpertId id, int32_t slot, bool urgent);
  void EndRead(int32_t slot);
  void OnRead(const BlockRead& read, const std::string& error);

  const WeightsView& weights_;
  const ExpertFileMap map_;
  const bool prefetch_;
  AlignedBuffer<std::byte> pool_;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::unique_ptr<EvictionPolicy> policy_;
  std::vector<Slot> slots_;
  std::vector<int32_t> slot_of_;  // [L * E], -1: not resident
  std::vector<int32_t> free_;

  int64_t request_ = 0;             // its number
  std::vector<Wanted> wanted_;      // the request
  std::vector<int32_t> in_wanted_;  // [L * E] index into wanted_, -1
  size_t not_given_ = 0;
  std::vector<int32_t> unread_;  // indices into wanted_ that have no slot yet, next one last
  std::vector<ReadyExpert> ready_, taken_;
  std::string error_;
  std::vector<ExpertId> hints_;   // not yet begun, next one last
  std::vector<ExpertId> hinted_;  // begun and pinned until the next request
  std::vector<BlockRead> reads_;

  ExpertCacheCounters counters_;
  int64_t most_resident_ = 0;
  std::vector<ExpertAccount> accounts_;

  std::unique_ptr<BlockReader> reader_;  // last: its threads end before what they touch
};

}  // namespace oxidized
