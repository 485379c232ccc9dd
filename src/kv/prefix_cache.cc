#include "kv/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "kv/kv_layout.h"

namespace oxidized {

PrefixCache::PrefixCache(std::vector<int32_t> windows, std::vector<BlockPool>& pools)
    : windows_(std::move(windows)), pools_(pools) {}

void PrefixCache::Release(Entry& entry) {
  for (size_t g = 0; g < pools_.size(); ++g) entry.tables[g].ReleaseAll(pools_[g]);
}

void PrefixCache::Keep(int32_t variant, std::span<const int32_t> tokens,
                       const std::vector<BlockTable>& tables) {
  if (tokens.empty()) return;
  Entry entry{variant, {tokens.begin(), tokens.end()}, tables};
  const auto length = static_cast<int64_t>(tokens.size());
  for (size_t g = 0; g < pools_.size(); ++g) {
    BlockTable& table = entry.tables[g];
    OX_CHECK(table.end_position() >= length);
    table.blocks.resize(
        static_cast<size_t>(BlocksFor(length - table.first_position)));  // none beyond the tokens
    for (const int32_t block : table.blocks) pools_[g].AddHolder(block);
  }
  // The new blocks were taken first: a duplicate's may be the same.
  const auto same = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& other) {
    return other.variant == variant && other.tokens == entry.tokens;
  });
  if (same != entries_.end()) {
    Release(*same);
    entries_.erase(same);
  }
  entries_.push_front(std::move(entry));
  if (entries_.size() > kMaxEntries) EvictOldest();
}

int64_t PrefixCache::Usable(const Entry& entry, std::span<const int32_t> tokens, int64_t limit) const {
  const size_t most =
      std::min({entry.tokens.size(), tokens.size(), static_cast<size_t>(std::max<int64_t>(limit, 0))});
  const auto differ = std::mismatch(entry.tokens.begin(), entry.tokens.begin() + static_cast<ptrdiff_t>(most),
                                    tokens.begin());
  const int64_t common = differ.first - entry.tokens.begin();
  for (size_t g = 0; g < pools_.size(); ++g) {
    // The first new token, at position `common`, sees window - 1 earlier ones.
    const int64_t oldest = windows_[g] == 0 ? 0 : std::max<int64_t>(0, common - windows_[g] + 1);
    if (entry.tables[g].first_position > oldest) return 0;
  }
  return common;
}

int64_t PrefixCache::Resume(int32_t variant, std::span<const int32_t> tokens, int64_t limit,
                            std::vector<BlockTable>& tables, std::vector<BlockCopy>& copies) {
  auto best = entries_.end();
  int64_t length = 0;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->variant != variant) continue;
    const int64_t usable = Usable(*entry, tokens, limit);
    if (usable > length) {
      best = entry;
      length = usable;
    }
  }
  if (length == 0) return 0;
  entries_.splice(entries_.begin(), entries_, best);
  const bool partial = length % kKvBlockTokens != 0;
  const auto full = [](const BlockPool& pool) { return pool.num_free() == 0; };
  // The block to be copied into may come out of any entry but this one.
  while (partial && std::any_of(pools_.begin(), pools_.end(), full)) {
    if (entries_.size() == 1) return 0;
    EvictOldest();
  }
  for (size_t g = 0; g < pools_.size(); ++g) {
    const BlockTable& held = best->tables[g];
    BlockTable& table = tables[g];
    OX_CHECK(table.blocks.empty());
    table.first_position = held.first_position;
    const int64_t whole = length / kKvBlockTokens - held.first_position / kKvBlockTokens;
    for (int64_t i = 0; i < whole; ++i) {
      pools_[g].AddHolder(held.blocks[static_cast<size_t>(i)]);
      table.blocks.push_back(held.blocks[static_cast<size_t>(i)]);
    }
    if (partial) {
      table.blocks.push_back(pools_[g].Allocate());
      copies.push_back(
          {static_cast<int32_t>(g), held.blocks[static_cast<size_t>(whole)], table.blocks.back()});
    }
  }
  return length;
}

bool PrefixCache::EvictOldest() {
  if (entries_.empty()) return false;
  Release(entries_.back());
  entries_.pop_back();
  return true;
}

std::vector<int32_t> PrefixCache::Holders(size_t group) const {
  std::vector<int32_t> holders(static_cast<size_t>(pools_[group].num_blocks()), 0);
  for (const Entry& entry : entries_) {
    for (const int32_t block : entry.tables[group].blocks) ++holders[static_cast<size_t>(block)];
  }
  return holders;
}

}  // namespace oxidized
