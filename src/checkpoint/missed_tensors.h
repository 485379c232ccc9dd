// What was asked of a model's tensors and not found as it should be, collected so that one message can show
// the pattern of the damage; and which tensors nobody asked for. Looks nothing up itself: for tensor_binder
// and gguf_weights, which do.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace oxidized {

class MissedTensors {
 public:
  // `source` stands for the model in messages.
  explicit MissedTensors(std::string source) : source_(std::move(source)) {}

  // One clause: "\"norm.scale\" is missing".
  void Add(std::string problem);
  // The view must live as long as this.
  void Use(std::string_view name) { used_.insert(name); }

  // Throws Error(kBadFile) listing the first problems, `note` behind them.
  void ThrowIfAny(const std::string& note = "") const;
  // One warning line if there are tensors that were never used. `tensors`: a map by name.
  template <typename Tensors>
  void WarnOfUnused(const Tensors& tensors) const {
    std::vector<std::string_view> unused;
    for (const auto& [name, tensor] : tensors) {
      if (!used_.contains(name)) unused.push_back(name);
    }
    if (!unused.empty()) Warn(unused);
  }

 private:
  void Warn(const std::vector<std::string_view>& unused) const;

  const std::string source_;
  std::set<std::string_view> used_;
  std::vector<std::string> problems_;  // the first few
  size_t count_ = 0;
};

}  // namespace oxidized
