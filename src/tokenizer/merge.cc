#include "tokenizer/merge.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/error.h"

namespace oxidized {
namespace {

// Below this length looking at every pair for each merge is faster than keeping a heap.
constexpr size_t kShortPiece = 48;

int32_t ByteToken(const Vocabulary& vocabulary, char c) {
  return vocabulary.byte_ids[static_cast<uint8_t>(c)];
}

// How two neighbours merge; `both` are their bytes together.
Merge FindMerge(const Vocabulary& vocabulary, int32_t left, int32_t right, std::string_view both) {
  if (!vocabulary.ids_are_ranks) return vocabulary.merges.Find(left, right);
  const std::optional<int32_t> id = vocabulary.tokens.Find(both);
  return id ? Merge{static_cast<uint32_t>(*id), *id} : Merge{};
}

void MergeShort(const Vocabulary& vocabulary, std::string_view piece, std::vector<int32_t>& out) {
  int32_t tokens[kShortPiece];
  uint8_t begins[kShortPiece + 1];  // of tokens[i] in the piece; [count] is the piece's end
  Merge merges[kShortPiece];        // of tokens[i] with tokens[i + 1]; [count - 1] has none
  size_t count = piece.size();
  const auto find_merge = [&](size_t i) {
    const std::string_view both = piece.substr(begins[i], size_t{begins[i + 2]} - begins[i]);
    return FindMerge(vocabulary, tokens[i], tokens[i + 1], both);
  };
  for (size_t i = 0; i < count; ++i) {
    tokens[i] = ByteToken(vocabulary, piece[i]);
    begins[i] = static_cast<uint8_t>(i);
  }
  begins[count] = static_cast<uint8_t>(count);
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = find_merge(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == Merge::kNone) break;
    tokens[best] = merges[best].id;
    std::copy(tokens + best + 2, tokens + count, tokens + best + 1);
    std::copy(begins + best + 2, begins + count + 1, begins + best + 1);
    std::copy(merges + best + 2, merges + count, merges + best + 1);
    --count;
    if (best > 0) merges[best - 1] = find_merge(best - 1);
    if (best + 1 < count) merges[best] = find_merge(best);
  }
  out.insert(out.end(), tokens, tokens + count);
}

// A doubly linked list of tokens and a heap of candidate merges. A heap entry is stale, and skipped, when its
// node has another merge by now. Equal ranks pop leftmost first because the node number is the low half of
// the entry. A token's node is the place of its first byte.
void MergeLong(const Vocabulary& vocabulary, std::string_view piece, MergeScratch& scratch,
               std::vector<int32_t>& out) {
  auto& nodes = scratch.nodes;
  auto& heap = scratch.heap;
  const uint32_t end = static_cast<uint32_t>(piece.size());
  nodes.resize(piece.size());
  heap.clear();
  const auto entry = [](uint32_t rank, uint32_t node) { return static_cast<uint64_t>(rank) << 32 | node; };
  const auto find_merge = [&](uint32_t node) {
    const uint32_t next = nodes[node].next;
    nodes[node].merge = {};
    if (next == end) return false;
    const std::string_view both = piece.substr(node, nodes[next].next - node);
    nodes[node].merge = FindMerge(vocabulary, nodes[node].token, nodes[next].token, both);
    return nodes[node].merge.rank != Merge::kNone;
  };
  const auto push = [&](uint32_t node) {
    if (!find_merge(node)) return;
    heap.push_back(entry(nodes[node].merge.rank, node));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };

  for (uint32_t i = 0; i < end; ++i) nodes[i] = {i - 1, i + 1, ByteToken(vocabulary, piece[i]), {}};
  for (uint32_t i = 0; i < end; ++i) {
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
    if (node.next != end) nodes[node.next].previous = at;
    push(at);
    if (at > 0) push(node.previous);
  }
  for (uint32_t i = 0; i != end; i = nodes[i].next) out.push_back(nodes[i].token);
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
