#include "engine/draft.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace oxidized {
namespace {

constexpr int64_t kMostBuckets = 1 << 16;
constexpr int32_t kMostTried = 8;                  // earlier places with the same hash that are looked at
constexpr int32_t kPriorWeight = 4, kMemory = 32;  // of a likelihood, in guesses

}  // namespace

DraftSource::DraftSource(int64_t most_tokens, int32_t min_match)
    : min_match_(min_match),
      newest_(std::bit_ceil(static_cast<size_t>(std::clamp<int64_t>(most_tokens, 64, kMostBuckets))), -1) {
  OX_CHECK(min_match >= 1 && min_match <= kLongestMatch);
  earlier_.reserve(static_cast<size_t>(most_tokens) + 1);
  earlier_.push_back(-1);
}

size_t DraftSource::ClassOf(int32_t match) {
  const int width = std::bit_width(static_cast<uint32_t>(std::max(match, 1) - 1));
  return static_cast<size_t>(std::clamp(width - 2, 0, static_cast<int>(kClasses) - 1));
}

size_t DraftSource::Bucket(std::span<const int32_t> tokens, int64_t end) const {
  uint64_t hash = 0;
  for (int64_t p = end - min_match_; p < end; ++p)
    hash = (hash ^ static_cast<uint32_t>(tokens[static_cast<size_t>(p)])) * 0x9E3779B97F4A7C15u;
  return static_cast<size_t>(hash >> 32) & (newest_.size() - 1);
}

int32_t DraftSource::MatchLength(std::span<const int32_t> tokens, int64_t earlier, int64_t end) const {
  const int64_t most = std::min<int64_t>(earlier, kLongestMatch);
  int64_t length = 0;
  while (length < most &&
         tokens[static_cast<size_t>(earlier - 1 - length)] == tokens[static_cast<size_t>(end - 1 - length)])
    ++length;
  return static_cast<int32_t>(length);
}

// The longest match of the first `end` tokens; of equals the one being followed, else the newest.
void DraftSource::Find(std::span<const int32_t> tokens, int64_t end, bool follow) {
  match_ = follow ? std::min(match_ + 1, kLongestMatch) : 0;
  source_ += 1;
  int32_t place = newest_[Bucket(tokens, end)];
  for (int32_t tried = 0; place >= 0 && tried < kMostTried; ++tried) {
    const int32_t length = MatchLength(tokens, place, end);
    if (length >= min_match_ && length > match_) {
      match_ = length;
      source_ = place;
    }
    place = earlier_[static_cast<size_t>(place)];
  }
}

void DraftSource::Extend(std::span<const int32_t> tokens, int64_t learn_from) {
  const auto size = static_cast<int64_t>(tokens.size());
  for (auto known = static_cast<int64_t>(earlier_.size()) - 1; known < size; ++known) {
    const bool right =
        match_ > 0 && tokens[static_cast<size_t>(source_)] == tokens[static_cast<size_t>(known)];
    if (match_ > 0 && known >= learn_from) {
      Estimate& estimate = likelihood_[ClassOf(match_)];
      estimate.seen = std::min(estimate.seen + 1, kMemory - kPriorWeight);
      estimate.value += ((right ? 1.0 : 0.0) - estimate.value) / (kPriorWeight + estimate.seen);
    }
    const int64_t end = known + 1;
    earlier_.push_back(-1);
    if (end < min_match_) continue;
    if (end >= learn_from) Find(tokens, end, right);  // guesses inside what was given serve nobody
    int32_t& newest = newest_[Bucket(tokens, end)];
    earlier_.back() = newest;
    newest = static_cast<int32_t>(end);
  }
}

void DraftSource::Propose(std::span<const int32_t> tokens, int32_t count,
                          std::vector<int32_t>& guesses) const {
  OX_CHECK(match_ > 0 && tokens.size() + 1 == earlier_.size());
  guesses.clear();
  for (int32_t i = 0; i < count; ++i) {
    const auto from = static_cast<size_t>(source_ + i);
    guesses.push_back(from < tokens.size() ? tokens[from] : guesses[from - tokens.size()]);
  }
}

}  // namespace oxidized
