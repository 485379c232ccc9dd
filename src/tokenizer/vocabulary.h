// What a tokenizer file says, checked and indexed: tokens by bytes, merges by pair, special tokens. Filled by
// the readers (tokenizer_json.cc, rank_file.cc) and by o200k.cc, read by Tokenizer and by MergePiece;
// immutable afterwards.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace oxidized {

// Ids above this are refused: a checkpoint's vocabulary has at most 2^24 rows (model/model_config.cc).
constexpr int64_t kMaxTokenId = (int64_t{1} << 24) - 1;

// Token bytes to id, and id to bytes. Open addressing over one arena: a look-up allocates nothing.
class TokenTable {
 public:
  // At most `count` tokens with ids below `count` will be added, `bytes` bytes together.
  void Reserve(size_t count, size_t bytes);
  enum class Added { kYes, kDuplicateBytes, kDuplicateId };
  Added Add(int32_t id, std::string_view bytes);

  std::optional<int32_t> Find(std::string_view bytes) const;
  // nullopt: no such token. A token is never empty.
  std::optional<std::string_view> Bytes(int32_t id) const;
  // One above the highest id that can be stored (Reserve's count).
  int32_t id_limit() const { return static_cast<int32_t>(spans_.size()); }

 private:
  struct Span {
    uint32_t offset = 0, length = 0;
  };
  std::string_view BytesAt(uint32_t id) const;  // of a token that is there

  std::string arena_;
  std::vector<Span> spans_;      // [id]
  std::vector<uint32_t> slots_;  // 8 bits of the hash, 24 of the id; power of two, at most half full
  size_t size_ = 0;
  size_t longest_ = 0;  // bytes of the longest token
};

struct Merge {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t rank = kNone;  // smaller merges first
  int32_t id = -1;        // the token that results
};

// (left id, right id) to Merge.
class MergeTable {
 public:
  void Reserve(size_t count);
  // false: the pair is there already. Grows by itself.
  bool Add(int32_t left, int32_t right, Merge merge);
  // Merge with rank kNone when the pair does not merge.
  Merge Find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t key = UINT64_MAX;
    Merge merge;
  };
  void Grow(size_t slots);
  std::vector<Slot> slots_ = std::vector<Slot>(8);  // power of two, at most half full
  size_t size_ = 0;
};

struct Vocabulary {
  TokenTable tokens;  // ordinary tokens only
  // true: two neighbours merge when their bytes together are a token, whose id is the rank (tiktoken);
  // `merges` is empty. false: they merge when the pair is listed.
  bool ids_are_ranks = false;
  MergeTable merges;
  std::array<int32_t, 256> byte_ids{};
  // true: a piece that is a token is that token, without merging (tiktoken; "ignore_merges" of Hugging Face).
  bool whole_piece_first = true;
  std::string split_pattern;

  std::unordered_map<std::string, int32_t> special_ids;    // several texts may share an id
  std::unordered_map<int32_t, std::string> special_texts;  // the text that decoding gives

  // Throws Error(kBadFile) unless both text and id are new; an alias may repeat the id.
  void AddSpecial(int64_t id, std::string_view text, const std::string& name, bool alias = false);
  // Fills byte_ids; throws Error(kBadFile) when one of the 256 single bytes is not a token.
  void IndexBytes(const std::string& name);
};

Vocabulary ReadTokenizerJson(std::string_view json, const std::string& name);
Vocabulary ReadRankFile(std::string_view text, const std::string& name);
// Arguments as of Tokenizer::FromTokenList.
struct ListedToken;
Vocabulary ReadTokenList(std::span<const ListedToken> list, std::span<const std::string_view> merges,
                         const std::string& name);

}  // namespace oxidized
