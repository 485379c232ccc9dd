#include "hub/range_set.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace oxidized::hub {

void RangeSet::Add(ByteRange range) {
  if (range.begin >= range.end) return;
  auto it = ranges_.upper_bound(range.begin);
  if (it != ranges_.begin() && std::prev(it)->second >= range.begin) --it;
  while (it != ranges_.end() && it->first <= range.end) {
    range.begin = std::min(range.begin, it->first);
    range.end = std::max(range.end, it->second);
    it = ranges_.erase(it);
  }
  ranges_.emplace(range.begin, range.end);
}

int64_t RangeSet::total_bytes() const {
  int64_t total = 0;
  for (const auto& [begin, end] : ranges_) total += end - begin;
  return total;
}

int64_t RangeSet::PrefixEnd() const {
  return ranges_.empty() || ranges_.begin()->first != 0 ? 0 : ranges_.begin()->second;
}

std::optional<ByteRange> RangeSet::FirstGap(int64_t size) const {
  const int64_t begin = PrefixEnd();
  if (begin >= size) return std::nullopt;
  const auto next = ranges_.upper_bound(begin);
  return ByteRange{begin, next == ranges_.end() ? size : std::min(next->first, size)};
}

std::string RangeSet::Text() const {
  std::string text;
  for (const auto& [begin, end] : ranges_) text += fmt::format("{} {}\n", begin, end);
  return text;
}

std::optional<RangeSet> RangeSet::Parse(std::string_view text, int64_t size) {
  RangeSet set;
  int64_t last_end = -1;
  while (!text.empty()) {
    const size_t line_end = text.find('\n');
    if (line_end == text.npos) return std::nullopt;
    const char* const stop = text.data() + line_end;
    ByteRange range;
    const auto first = std::from_chars(text.data(), stop, range.begin);
    if (first.ec != std::errc() || first.ptr == stop || *first.ptr != ' ') return std::nullopt;
    const auto second = std::from_chars(first.ptr + 1, stop, range.end);
    if (second.ec != std::errc() || second.ptr != stop) return std::nullopt;
    if (range.begin <= last_end || range.begin >= range.end || range.end > size) return std::nullopt;
    last_end = range.end;
    set.ranges_.emplace(range.begin, range.end);
    text.remove_prefix(line_end + 1);
  }
  return set;
}

}  // namespace oxidized::hub
