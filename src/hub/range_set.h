// Which bytes of a file are there: disjoint half-open ranges, merged where they touch.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace oxidized::hub {

struct ByteRange {
  int64_t begin = 0;
  int64_t end = 0;  // exclusive
  int64_t size() const { return end - begin; }
};

class RangeSet {
 public:
  void Add(ByteRange range);  // an empty one changes nothing
  void Clear() { ranges_.clear(); }

  int64_t total_bytes() const;
  // How many bytes from 0 on are there without a gap.
  int64_t PrefixEnd() const;
  // The first gap in [0, size).
  std::optional<ByteRange> FirstGap(int64_t size) const;

  // "0 4096\n8192 9000\n", and back: nullopt for anything but sorted, disjoint ranges within [0, size).
  std::string Text() const;
  static std::optional<RangeSet> Parse(std::string_view text, int64_t size);

 private:
  std::map<int64_t, int64_t> ranges_;  // begin -> end
};

}  // namespace oxidized::hub
