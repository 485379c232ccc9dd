// Time, bytes and operations of the stages of a step, summed over its layers. The stages follow each other on
// the caller's thread, so one clock reading ends a stage and begins the next.
#pragma once

#include <array>
#include <chrono>
#include <vector>

#include "executor/step_batch.h"

namespace oxidized {

enum class CpuStage : uint8_t {
  kEmbed,
  kNorm,
  kQkv,
  kRotate,
  kAttention,
  kOut,
  kRouter,
  kExpertWait,  // for experts that are being read
  kGateUp,
  kDown,
  kCombine,
  kUnembed,
  kSample,
  kCount,
};

class StageClock {
 public:
  void Start() {
    costs_ = {};
    last_ = std::chrono::steady_clock::now();
  }
  // The stages go on, after time that is none of theirs.
  void Resume() { last_ = std::chrono::steady_clock::now(); }
  // The time since the last call went into `stage`, which had to read `bytes` and do `flops`.
  void End(CpuStage stage, int64_t bytes = 0, int64_t flops = 0) {
    const auto now = std::chrono::steady_clock::now();
    StageCost& cost = costs_[static_cast<size_t>(stage)];
    cost.microseconds += std::chrono::duration<double, std::micro>(now - last_).count();
    cost.bytes += bytes;
    cost.flops += flops;
    last_ = now;
  }
  void Report(std::vector<StageCost>& out) const {
    static constexpr const char* kNames[] = {
        "embed",       "norm",    "qkv",  "rotate",  "attention", "attention_out", "router",
        "expert_wait", "gate_up", "down", "combine", "unembed",   "sample"};
    static_assert(std::size(kNames) == static_cast<size_t>(CpuStage::kCount));
    out.assign(costs_.begin(), costs_.end());
    for (size_t i = 0; i < out.size(); ++i) out[i].stage = kNames[i];
  }

 private:
  std::array<StageCost, static_cast<size_t>(CpuStage::kCount)> costs_ = {};
  std::chrono::steady_clock::time_point last_;
};

}  // namespace oxidized
