#include "kv/block_pool.h"

#include <algorithm>

#include "base/error.h"
#include "kv/kv_layout.h"

namespace oxidized {

BlockPool::BlockPool(int32_t num_blocks) : holders_(static_cast<size_t>(num_blocks), 0) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < num_blocks; ++id) ids.push_back(id);
  free_ = decltype(free_)(std::greater<>(), std::move(ids));
}

int32_t BlockPool::Allocate() {
  OX_CHECK(!free_.empty());
  const int32_t block = free_.top();
  free_.pop();
  OX_CHECK(holders_[static_cast<size_t>(block)] == 0);
  holders_[static_cast<size_t>(block)] = 1;
  most_held_ = std::max(most_held_, num_held());
  return block;
}

void BlockPool::AddHolder(int32_t block) {
  OX_CHECK(holders_[static_cast<size_t>(block)] > 0);
  ++holders_[static_cast<size_t>(block)];
}

void BlockPool::Release(int32_t block) {
  OX_CHECK(holders_[static_cast<size_t>(block)] > 0);
  if (--holders_[static_cast<size_t>(block)] == 0) free_.push(block);
}

int64_t BlockTable::end_position() const {
  return first_position + static_cast<int64_t>(blocks.size()) * kKvBlockTokens;
}

void BlockTable::ReleaseBefore(int64_t position, BlockPool& pool) {
  size_t gone = 0;
  while (gone < blocks.size() && first_position + kKvBlockTokens <= position) {
    pool.Release(blocks[gone++]);
    first_position += kKvBlockTokens;
  }
  blocks.erase(blocks.begin(), blocks.begin() + static_cast<ptrdiff_t>(gone));
}

void BlockTable::ReleaseAll(BlockPool& pool) {
  for (const int32_t block : blocks) pool.Release(block);
  blocks.clear();
  first_position = 0;
}

}  // namespace oxidized
