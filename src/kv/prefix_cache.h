// Prefixes whose KV is still in memory: what lets a new request resume instead of computing its prompt again.
//
// An entry is a token sequence and the blocks that hold its KV: all of them in a full group, in a sliding
// group those of the window that was live when the entry was made. The engine makes one when a request's
// prompt is complete (so that the next turn of a chat, whose old reasoning is dropped, resumes right before
// this turn's answer) and one when it ends. Blocks are shared by holder counts, never written below the
// length of any entry that holds them; the block that a resumed sequence goes on writing is copied. Least
// recently used entries go first when blocks run out.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <vector>

#include "kv/block_pool.h"

namespace oxidized {

class PrefixCache {
 public:
  // `windows` [groups], 0: full attention. `pools` [groups] must outlive the cache.
  PrefixCache(std::vector<int32_t> windows, std::vector<BlockPool>& pools);

  // Keeps `tokens`, all of whose KV is in `tables`. `variant`: what else the KV depends on; only equal ones
  // match.
  void Keep(int32_t variant, std::span<const int32_t> tokens, const std::vector<BlockTable>& tables);

  // Fills empty `tables` with the blocks of the longest prefix of `tokens` that is held, and of at most
  // `limit` tokens. Returns its length, 0 if there is none; `copies` gets what the executor must copy before
  // the next step.
  int64_t Resume(int32_t variant, std::span<const int32_t> tokens, int64_t limit,
                 std::vector<BlockTable>& tables, std::vector<BlockCopy>& copies);

  // Lets the least recently used entry go; false: there was none. Its blocks may be handed out again before
  // pending copies from them were carried out: copies go in order, and before anything else is written.
  bool EvictOldest();

  // How many holders of each block of a group are entries; for integrity checks.
  std::vector<int32_t> Holders(size_t group) const;
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    int32_t variant;
    std::vector<int32_t> tokens;
    std::vector<BlockTable> tables;
  };
  // The longest prefix of `tokens`, at most `limit` long, that this entry can give; 0 if none.
  int64_t Usable(const Entry& entry, std::span<const int32_t> tokens, int64_t limit) const;
  void Release(Entry& entry);

  static constexpr size_t kMaxEntries = 256;  // a bound on the search, not on memory: blocks are shared

  std::vector<int32_t> windows_;
  std::vector<BlockPool>& pools_;
  std::list<Entry> entries_;  // most recently used first
};

}  // namespace oxidized
