// Prefixes whose KV is still in memory: what lets a new request resume instead of computing its prompt again.
//
// A node is 32 tokens (kKvBlockTokens) below its parent and holds one block in each KV group, so that
// whatever begins alike is kept once. Children are found by hash and compared by their tokens, so a lookup
// costs what its prompt's length costs, however much is kept. A node with fewer tokens, a tail, is a leaf:
// the end of a kept text. Every tree is of one variant: what the KV depends on besides tokens.
//
// Full groups: a path's blocks are all there. Sliding groups: a node's block may be gone, and a request can
// resume only where the window behind it is whole. Windows are pinned where a request will probably come back
// to: where a prompt ends, where a request ends, where paths fork, and where a request says so. Blocks stay
// until somebody needs one; then go, of a sliding group, those in no pinned window, then windows, and of a
// full group leaves, always the longest unused first. What a running sequence stands on is not let go.
//
// Blocks are shared by holder counts and never written below the tokens of a node that holds them; a block in
// which a resumed sequence goes on writing is copied. Knows nothing of requests; the scheduler calls it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "kv/block_pool.h"
#include "kv/kv_layout.h"

namespace oxidized {

class PrefixTree {
 public:
  using Hash = uint64_t (*)(int32_t parent, std::span<const int32_t> tokens);
  static uint64_t HashOf(int32_t parent, std::span<const int32_t> tokens);

  // Where a sequence stands: the deepest node that is its own text's, and a tail of its own making below it.
  // One that stands somewhere must Leave (or Discard) before it is forgotten.
  struct Place {
    int32_t node = -1;   // -1: above everything
    int64_t tokens = 0;  // of the path to it; a multiple of 32
    int32_t tail = -1;
  };

  // `windows` [groups], 0: full attention. `pools` [groups] must outlive the tree. `hash` only for tests.
  PrefixTree(std::vector<int32_t> windows, std::vector<BlockPool>& pools, Hash hash = HashOf);

  // Fills empty `tables` with the blocks of the longest prefix of `tokens` that is held, and of at most
  // `limit` tokens. Returns its length, 0 if there is none; `copies` gets what the executor must copy before
  // the next step. `place`, which stands nowhere, stands at its last whole node then.
  int64_t Resume(int32_t variant, std::span<const int32_t> tokens, int64_t limit,
                 std::vector<BlockTable>& tables, std::vector<BlockCopy>& copies, Place& place);

  // How long the prefix is that Resume would give, if there is room for its copy. Changes nothing.
  int64_t Reusable(int32_t variant, std::span<const int32_t> tokens, int64_t limit);

  // Adds a node for each whole block of `tokens`, all of whose KV is in `tables`, behind `place`, and moves
  // it there. Where another sequence was first, `tables` get its blocks of full groups instead of their own.
  void Publish(int32_t variant, std::span<const int32_t> tokens, std::vector<BlockTable>& tables,
               Place& place);
  // The same, and keeps what is left behind the last whole block and the window at the end.
  void Keep(int32_t variant, std::span<const int32_t> tokens, std::vector<BlockTable>& tables, Place& place);
  // Pins the window at the last whole block of `place`'s path at or before `position`, if it is all there.
  void PinWindow(const Place& place, int64_t position);

  void Leave(Place& place);
  // Leaves, and lets go of the nodes of its path that nobody else uses: their KV is not to be trusted.
  void Discard(Place& place);

  // Lets go of what was longest unused, for a block of this group; false: nothing is left that could.
  // Its blocks may be handed out again before pending copies from them were carried out: copies go in order,
  // and before anything else is written.
  bool Evict(size_t group);

  int64_t num_nodes() const { return nodes_in_use_; }
  int64_t visits() const { return visits_; }  // nodes that lookups looked at, so far
  // How many holders of each block of a group are nodes; for integrity checks.
  std::vector<int32_t> Holders(size_t group) const;
  // Every list, count, index entry and pin is what the nodes say. For tests.
  bool Intact() const;
  // The blocks of a full group that a sequence standing there shares: its path's, in order. For tests.
  std::vector<int32_t> PathBlocks(const Place& place, size_t group) const;

 private:
  struct Node {
    int32_t parent = -1;                                 // -1: a root, without tokens and blocks
    int32_t first_child = -1, next = -1, previous = -1;  // siblings, the last used first
    int32_t children = 0;
    int32_t places = 0;  // of sequences that stand here
    int32_t count = 0;   // tokens; below 32: a tail
    bool live = false;
    bool window = false;       // a pinned window ends here
    int32_t same_bucket = -1;  // the next of by_hash_'s bucket
    std::array<int32_t, kKvBlockTokens> tokens{};
  };
  // Nodes that may have to go, the longest unused first: leaves without sequences, ends of pinned windows,
  // and for each sliding group blocks in no pinned window. Membership follows from what a node is.
  struct List {
    int32_t first = -1, last = -1;
    int64_t size = 0;
  };
  static constexpr size_t kLeaves = 0, kWindows = 1, kLoose = 2;
  enum class End : uint8_t { kLongestUnused, kJustUsed };

  // What a lookup finds; the path is in path_.
  struct Match {
    size_t whole = 0;      // leading nodes of the path that can be resumed behind
    int32_t partial = -1;  // a child of the whole path's last node that can be resumed inside
    int64_t common = 0;    // tokens of it
  };
  Match Look(int32_t root, std::span<const int32_t> tokens, int64_t limit);
  int32_t RootOf(int32_t variant);
  int32_t NewNode();
  int32_t Find(int32_t parent, std::span<const int32_t> tokens);
  int32_t FindPartial(int32_t parent, std::span<const int32_t> tokens, int64_t limit, int64_t& common);
  int64_t CommonWith(int32_t node, std::span<const int32_t> tokens);
  // The first node of a path whose block a row at `position` needs in a group.
  int64_t FirstNeeded(size_t group, int64_t position) const;
  bool HasBlocks(int32_t node) const;
  void ShareBlocks(std::span<const int32_t> path, int64_t position, std::vector<BlockTable>& tables);
  bool CopyPartial(int32_t node, std::vector<BlockTable>& tables, std::vector<BlockCopy>& copies);

  int32_t Add(int32_t parent, std::span<const int32_t> tokens, int64_t index,
              const std::vector<BlockTable>& tables);
  void Extend(int32_t node, std::span<const int32_t> tokens);
  void TakeMissing(int32_t node, int64_t index, const std::vector<BlockTable>& tables);
  void ShareFull(int32_t node, int64_t index, std::vector<BlockTable>& tables);
  void Remove(int32_t node);
  bool RemoveIfBare(int32_t node);
  void Pin(int32_t node);
  void Unpin(int32_t node);
  bool EvictLoose(size_t group);
  bool EvictWindow(size_t group);
  void Touch(int32_t node);
  void Stand(int32_t& at, int32_t node);  // moves one sequence's foot
  // Puts a node into the lists that it belongs to now, at that end, and takes it out of the others.
  void Update(int32_t node, End end);
  bool BelongsTo(int32_t node, size_t list) const;
  void Append(int32_t node, size_t list, End end);
  void TakeOut(int32_t node, size_t list);
  int32_t& Bucket(int32_t parent, std::span<const int32_t> tokens);
  void Index(int32_t node);
  void Link(int32_t node);
  void Unlink(int32_t node);

  Node& At(int32_t node) { return nodes_[static_cast<size_t>(node)]; }
  const Node& At(int32_t node) const { return nodes_[static_cast<size_t>(node)]; }
  bool IsRoot(int32_t node) const { return At(node).parent < 0; }
  static constexpr int32_t kOutside = -2;
  size_t LinkOf(int32_t node, size_t list) const { return static_cast<size_t>(node) * lists_.size() + list; }
  size_t Slot(int32_t node, size_t group) const { return static_cast<size_t>(node) * pools_.size() + group; }
  int32_t& Block(int32_t node, size_t group) { return blocks_[Slot(node, group)]; }
  int32_t Block(int32_t node, size_t group) const { return blocks_[Slot(node, group)]; }
  std::span<const int32_t> TokensOf(int32_t node) const {
    return std::span(At(node).tokens).first(static_cast<size_t>(At(node).count));
  }

  std::vector<int32_t> windows_;
  std::vector<BlockPool>& pools_;
  Hash hash_;
  std::vector<Node> nodes_;
  std::vector<int32_t> blocks_;  // [nodes, groups] -1: gone
  std::vector<int32_t> pins_;    // [nodes, groups] pinned windows that hold this block
  std::vector<int32_t> reach_;   // [nodes, groups] nodes that the window ending here has pinned
  std::vector<int32_t> unused_;  // ids
  int64_t nodes_in_use_ = 0;
  std::unordered_map<int32_t, int32_t> roots_;  // by variant
  std::vector<int32_t> by_hash_;                // first of each bucket's whole nodes
  std::vector<List> lists_;                     // [2 + groups]
  std::vector<int32_t> earlier_, later_;        // [nodes, lists] kOutside: not in it
  std::vector<int32_t> path_;
  std::vector<int64_t> run_;  // [groups] last nodes of path_ whose blocks are there
  int64_t visits_ = 0;
};

}  // namespace oxidized
