// Byte-pair merging of one piece. Starts from the piece's bytes and merges the adjacent pair of smallest
// rank, the leftmost first, until no pair merges: what tiktoken and Hugging Face do, in O(n log n) for any
// piece.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace oxidized {

// Buffers for long pieces, kept by the caller between pieces.
struct MergeScratch {
  struct Node {
    uint32_t previous, next;
    int32_t token;  // -1: merged into the node before
    Merge merge;    // with the next node
  };
  std::vector<Node> nodes;
  std::vector<uint64_t> heap;  // rank << 32 | node
};

// Appends the tokens of `piece` (less than 2^31 bytes) to `out`.
void MergePiece(const Vocabulary& vocabulary, std::string_view piece, MergeScratch& scratch,
                std::vector<int32_t>& out);

}  // namespace oxidized
