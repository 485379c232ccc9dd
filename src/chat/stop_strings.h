// Stop strings across token boundaries: text that could be the beginning of one is held back until it is
// decided.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace oxidized {

class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  // Appends text; returns what can be shown now. After matched() nothing more comes out.
  std::string Push(std::string_view text);
  // End of the text: what was held back, if no stop string was completed.
  std::string Flush();
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace oxidized
