// What a check found: messages, of which the first few are kept. Filled by checks and by the driver.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace oxidized::conformance {

class Findings {
 public:
  static constexpr size_t kMost = 6;

  template <typename... Args>
  void Add(fmt::format_string<Args...> format, Args&&... args) {
    ++count_;
    if (messages_.size() < kMost)
      messages_.push_back(where_ + fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  bool Expect(bool holds, fmt::format_string<Args...> format, Args&&... args) {
    if (!holds) Add(format, std::forward<Args>(args)...);
    return holds;
  }
  // Stands before every message from now on: the model, the case.
  void At(const std::string& where) { where_ = where.empty() ? "" : where + ": "; }

  int64_t count() const { return count_; }
  const std::vector<std::string>& messages() const { return messages_; }

 private:
  std::string where_;
  std::vector<std::string> messages_;
  int64_t count_ = 0;
};

}  // namespace oxidized::conformance
