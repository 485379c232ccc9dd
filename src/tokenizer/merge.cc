#include "tokenizer/merge.h"

#include <algorithm>
#include <functional>

#include "base/error.h"

namespace oxidized {
namespace {

// Below this length looking at every pair for each merge is faster than keeping a heap.
constexpr size_t kShortPiece = 48;

int32_t ByteToken(const Vocabulary& vocabulary, char c) {
  return vocabulary.byte_ids[static_cast<uint8_t>(c)];
}

void MergeShort(const Vocabulary& vocabulary, std::string_view piece, std::vector<int32_t>& out) {
  int32_t tokens[kShortPiece];
  Merge merges[kShortPiece];  // of tokens[i] with tokens[i + 1]; [count - 1] has none
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) tokens[i] = ByteToken(vocabulary, piece[i]);
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = vocabulary.merges.Find(tokens[i], tokens[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == Merge::kNone) break;
    tokens[best] = merges[best].id;
    std::copy(tokens + best + 2, tokens + count, tokens + best + 1);
    std::copy(merges + best + 2, merges + count, merges + best + 1);
    --count;
    if (best > 0) merges[best - 1] = vocabulary.merges.Find(tokens[best - 1], tokens[best]);
    if (best + 1 < count) merges[best] = vocabulary.merges.Find(tokens[best], tokens[best + 1]);
  }
  out.insert(out.end(), tokens, tokens + count);
}

// A doubly linked list of tokens and a heap of candidate merges. A heap entry is stale, and skipped, when its
// node has another merge by now. Equal ranks pop leftmost first because the node number is the low half of
// the entry.
void MergeLong(const Vocabulary& vocabulary, std::string_view piece, MergeScratch& scratch,
               std::vector<int32_t>& out) {
  constexpr uint32_t kEnd = UINT32_MAX;
  auto& nodes = scratch.nodes;
  auto& heap = scratch.heap;
  nodes.resize(piece.size());
  heap.clear();
  const auto entry = [](uint32_t rank, uint32_t node) { return static_cast<uint64_t>(rank) << 32 | node; };
  const auto find_merge = [&](uint32_t node) {
    const uint32_t next = nodes[node].next;
    nodes[node].merge = next == kEnd ? Merge{} : vocabulary.merges.Find(nodes[node].token, nodes[next].token);
    return nodes[node].merge.rank != Merge::kNone;
  };
  const auto push = [&](uint32_t node) {
    if (!find_merge(node)) return;
    heap.push_back(entry(nodes[node].merge.rank, node));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };

  const uint32_t length = static_cast<uint32_t>(piece.size());
  for (uint32_t i = 0; i < length; ++i) {
    nodes[i] = {i - 1, i + 1 == length ? kEnd : i + 1, ByteToken(vocabulary, piece[i]), {}};
  }
  for (uint32_t i = 0; i < length; ++i) {
    if (find_merge(i)) heap.push_back(entry(nodes[i].merge.rank, i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const uint32_t at = static_cast<uint32_t>(heap.back());
    const uint32_t rank = static_cast<uint32_t>(heap.back() >> 32);
    heap.pop_back();
    auto& node = nodes[at];
    if (node.token < 0 || node.merge.rank != rank) continue;
    auto& gone = nodes[node.next];
    node.token = node.merge.id;
    node.next = gone.next;
    gone.token = -1;
    if (node.next != kEnd) nodes[node.next].previous = at;
    push(at);
    if (at > 0) push(node.previous);
  }
  for (uint32_t i = 0; i != kEnd; i = nodes[i].next) out.push_back(nodes[i].token);
}

}  // namespace

void MergePiece(const Vocabulary& vocabulary, std::string_view piece, MergeScratch& scratch,
                std::vector<int32_t>& out) {
  OX_CHECK(piece.size() <= INT32_MAX);
  if (piece.size() <= kShortPiece) {
    MergeShort(vocabulary, piece, out);
  } else {
    MergeLong(vocabulary, piece, scratch, out);
  }
}

}  // namespace oxidized
