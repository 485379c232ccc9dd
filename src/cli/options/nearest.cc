#include "cli/options/nearest.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace oxidized::cli {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before, above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above.back();
}

std::string Nearest(std::string_view word, std::span<const std::string> names) {
  constexpr size_t kLongest = 64;  // of a word that can be a misspelt name
  if (word.size() > kLongest) return "";
  const size_t letters =
      word.size() - std::min(word.size(), std::min(word.find_first_not_of('-'), word.size()));
  size_t least = std::max<size_t>(1, letters / 3) + 1;
  std::string nearest;
  for (const std::string& name : names) {
    // The beginning of a name is as good as a letter that is wrong.
    const bool begins = word.size() >= 4 && name.starts_with(word);
    const size_t distance = begins ? 1 : EditDistance(word, name);
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

}  // namespace oxidized::cli
