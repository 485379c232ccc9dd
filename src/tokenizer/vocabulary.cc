#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace oxidized {
namespace {

__extension__ using Wide = unsigned __int128;

uint64_t Mix(uint64_t a, uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

template <typename Word>
uint64_t Load(const char* p) {
  Word word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// Multiply-fold over words, the last two of which may overlap: most pieces are a few bytes long and take one
// product.
uint64_t Hash(std::string_view bytes) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15, kB = 0xD1B54A32D192ED03;
  const char* p = bytes.data();
  size_t n = bytes.size();
  uint64_t hash = kA ^ n;
  for (; n > 16; p += 8, n -= 8) hash = Mix(hash ^ Load<uint64_t>(p), kB);
  if (n >= 8) return Mix(hash ^ Load<uint64_t>(p), kB ^ Load<uint64_t>(p + n - 8));
  if (n >= 4) return Mix(hash ^ Load<uint32_t>(p), kB ^ Load<uint32_t>(p + n - 4));
  if (n == 0) return hash;
  const auto byte = [&](size_t i) { return static_cast<uint64_t>(static_cast<uint8_t>(p[i])); };
  return Mix(hash ^ (byte(0) << 16 | byte(n / 2) << 8 | byte(n - 1)), kB);
}

// A slot of TokenTable: ids have 24 bits (kMaxTokenId), and no tag is 0xFF, so that no slot in use looks
// empty.
constexpr uint32_t kIdBits = 24, kIdMask = (1u << kIdBits) - 1, kEmptySlot = UINT32_MAX;
static_assert(kMaxTokenId <= kIdMask);

uint32_t Tag(uint64_t hash) { return std::min(static_cast<uint32_t>(hash >> 56), 0xFEu) << kIdBits; }

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

uint64_t PairHash(uint64_t key) { return Mix(key ^ 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03); }

}  // namespace

void TokenTable::Reserve(size_t count, size_t bytes) {
  OX_CHECK(size_ == 0 && bytes <= UINT32_MAX);
  spans_.resize(count);
  slots_.assign(std::bit_ceil(2 * count + 2), kEmptySlot);
  arena_.reserve(bytes);
}

TokenTable::Added TokenTable::Add(int32_t id, std::string_view bytes) {
  OX_CHECK(id >= 0 && id < id_limit() && !bytes.empty() && arena_.size() + bytes.size() <= UINT32_MAX);
  if (spans_[id].length != 0) return Added::kDuplicateId;
  const uint64_t hash = Hash(bytes);
  const uint32_t tag = Tag(hash);
  size_t at = hash & (slots_.size() - 1);
  for (; slots_[at] != kEmptySlot; at = (at + 1) & (slots_.size() - 1)) {
    if ((slots_[at] & ~kIdMask) == tag && BytesAt(slots_[at] & kIdMask) == bytes)
      return Added::kDuplicateBytes;
  }
  slots_[at] = tag | static_cast<uint32_t>(id);
  spans_[id] = {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(bytes.size())};
  arena_ += bytes;
  longest_ = std::max(longest_, bytes.size());
  ++size_;
  return Added::kYes;
}

std::optional<int32_t> TokenTable::Find(std::string_view bytes) const {
  if (bytes.empty() || bytes.size() > longest_) return std::nullopt;
  const uint64_t hash = Hash(bytes);
  const uint32_t tag = Tag(hash);
  for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
    const uint32_t slot = slots_[at];
    if (slot == kEmptySlot) return std::nullopt;
    if ((slot & ~kIdMask) == tag && BytesAt(slot & kIdMask) == bytes)
      return static_cast<int32_t>(slot & kIdMask);
  }
}

std::optional<std::string_view> TokenTable::Bytes(int32_t id) const {
  if (id < 0 || id >= id_limit() || spans_[id].length == 0) return std::nullopt;
  return BytesAt(static_cast<uint32_t>(id));
}

std::string_view TokenTable::BytesAt(uint32_t id) const {
  return {arena_.data() + spans_[id].offset, spans_[id].length};
}

void MergeTable::Reserve(size_t count) {
  const size_t slots = std::bit_ceil(2 * count + 2);
  if (slots > slots_.size()) Grow(slots);
}

void MergeTable::Grow(size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.key == UINT64_MAX) continue;
    size_t at = PairHash(slot.key) & (slots_.size() - 1);
    while (slots_[at].key != UINT64_MAX) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }
}

bool MergeTable::Add(int32_t left, int32_t right, Merge merge) {
  OX_CHECK(left >= 0 && right >= 0 && merge.rank != Merge::kNone);
  if (2 * (size_ + 1) > slots_.size()) Grow(2 * slots_.size());
  const uint64_t key = PairKey(left, right);
  size_t at = PairHash(key) & (slots_.size() - 1);
  for (; slots_[at].key != UINT64_MAX; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].key == key) return false;
  }
  slots_[at] = {key, merge};
  ++size_;
  return true;
}

Merge MergeTable::Find(int32_t left, int32_t right) const {
  const uint64_t key = PairKey(left, right);
  for (size_t at = PairHash(key) & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.key == key) return slot.merge;
    if (slot.key == UINT64_MAX) return {};
  }
}

void Vocabulary::AddSpecial(int64_t id, std::string_view text, const std::string& name, bool alias) {
  constexpr size_t kMaxSpecialBytes = 256;  // bounds the search for special tokens at each place of a text
  if (id < 0 || id > kMaxTokenId) {
    Fail(ErrorKind::kBadFile, "{}: special token id {}, expected 0 to {}", name, id, kMaxTokenId);
  }
  if (text.empty() || text.size() > kMaxSpecialBytes) {
    Fail(ErrorKind::kBadFile, "{}: text of special token {} has {} bytes, expected 1 to {}", name, id,
         text.size(), kMaxSpecialBytes);
  }
  if (!special_ids.emplace(text, static_cast<int32_t>(id)).second) {
    Fail(ErrorKind::kBadFile, "{}: the text of special token {} is there twice", name, id);
  }
  if (!special_texts.emplace(static_cast<int32_t>(id), text).second && !alias) {
    Fail(ErrorKind::kBadFile, "{}: special token id {} is there twice", name, id);
  }
}

void Vocabulary::IndexBytes(const std::string& name) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::optional<int32_t> id = tokens.Find({&c, 1});
    if (!id)
      Fail(ErrorKind::kBadFile, "{}: no token for byte {:#04x}, expected one for each of the 256 bytes", name,
           byte);
    byte_ids[byte] = *id;
  }
}

}  // namespace oxidized
