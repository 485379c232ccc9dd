// Bookkeeping of KV blocks: who may use which block of an executor's KV memory. No bytes here.
//
// A block is free or held by one or more holders (a sequence's table, a prefix kept for reuse). The lowest
// free id is handed out first, so that pages of the KV memory never needed are never touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

namespace oxidized {

class BlockPool {
 public:
  explicit BlockPool(int32_t num_blocks);

  int32_t num_blocks() const { return static_cast<int32_t>(holders_.size()); }
  int32_t num_free() const { return static_cast<int32_t>(free_.size()); }
  int32_t num_held() const { return num_blocks() - num_free(); }
  int32_t most_held() const { return most_held_; }  // so far

  int32_t Allocate();             // one holder; never call with num_free() == 0
  void AddHolder(int32_t block);  // a further holder of a held block
  void Release(int32_t block);    // one holder less; free at none
  int32_t holders(int32_t block) const { return holders_[static_cast<size_t>(block)]; }

 private:
  std::vector<int32_t> holders_;
  int32_t most_held_ = 0;
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> free_;
};

// A whole block to be copied onto another of the same group.
struct BlockCopy {
  int32_t group;
  int32_t from;
  int32_t to;
};

// The blocks of one sequence in one group, in position order. A sliding group's table begins late.
struct BlockTable {
  int64_t first_position = 0;  // absolute position of the first row of blocks[0]; a multiple of B
  std::vector<int32_t> blocks;

  int64_t end_position() const;  // positions below this one (and from first_position on) have a place
  // Releases leading blocks whose positions all lie below `position`.
  void ReleaseBefore(int64_t position, BlockPool& pool);
  void ReleaseAll(BlockPool& pool);
};

}  // namespace oxidized
