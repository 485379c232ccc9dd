#include "executor/cuda/stage_report.h"

#include <algorithm>
#include <string_view>

#include "kernels/cuda/schedule.h"

namespace oxidized::cuda {
namespace {

void AddProduct(StageCost& stage, int64_t bytes, int64_t tokens, int64_t rows, int64_t cols) {
  stage.bytes += bytes;
  stage.flops += 2 * tokens * rows * cols;
}

}  // namespace

void ReportStages(const ModelConfig& config, const DeviceWeights& weights, const StepArgs& args,
                  std::span<const int64_t> positions, const RoutingObservation& routing,
                  const int64_t* clocks, double microseconds, std::vector<StageCost>& out) {
  static constexpr const char* kNames[] = {"embed",  "qkv",     "attention", "attention_out",
                                           "router", "gate_up", "down",      "unembed",
                                           "sample", "sample",  "sample"};
  out.clear();
  for (const char* name : kNames) {
    if (out.empty() || out.back().stage != std::string_view(name)) out.push_back({.stage = name});
  }
  const auto stage_of = [&](Phase phase) -> StageCost& {
    return out[std::min(static_cast<size_t>(phase), out.size() - 1)];
  };
  double cycles = 0.0;
  const int phases = args.samples == 0 ? ForwardPhases(config.num_layers) : AllPhases(config.num_layers);
  for (int i = 0; i < phases; ++i) {
    const auto taken = static_cast<double>(clocks[2 * i + 1] - clocks[2 * i]);
    stage_of(PhaseAt(i, config.num_layers).phase).microseconds += taken;
    cycles += taken;
  }
  const double each = cycles > 0.0 ? microseconds / cycles : 0.0;
  for (StageCost& stage : out) stage.microseconds *= each;

  const int64_t tokens = args.tokens, rows = args.rows, m = config.hidden_size;
  for (int32_t layer = 0; layer < config.num_layers; ++layer) {
    const LayerArgs& of = weights.layer(layer);
    AddProduct(stage_of(Phase::kQueryKeyValue), of.qkv.bytes(), tokens, of.qkv.rows, m);
    AddProduct(stage_of(Phase::kOut), of.out.bytes(), tokens, m, config.query_width());
    AddProduct(stage_of(Phase::kRoute), int64_t{of.num_experts} * m * 4, tokens, of.num_experts, m);
    std::vector<bool> used(static_cast<size_t>(of.num_experts), false);
    const size_t places = static_cast<size_t>(tokens) * static_cast<size_t>(args.stride);
    const auto chosen = std::span(routing.experts).subspan(static_cast<size_t>(layer) * places, places);
    for (const int32_t expert : chosen) {
      if (expert < 0) continue;
      const ExpertArgs& e = weights.expert(layer, expert);
      const bool first = !used[static_cast<size_t>(expert)];
      used[static_cast<size_t>(expert)] = true;
      AddProduct(stage_of(Phase::kGateUp), first ? e.gate_up.bytes() : 0, 1, e.gate_up.rows, m);
      AddProduct(stage_of(Phase::kDown), first ? e.down.bytes() : 0, 1, m, config.expert_width);
    }
    StageCost& attention = stage_of(Phase::kAttend);
    for (const int64_t position : positions) {
      const int64_t keys = position + 1 - FirstVisible(position, of.window);
      attention.bytes += keys * 2 * config.kv_width() * KvBytes(weights.model().arithmetic);
      attention.flops += keys * 4 * config.query_width();
    }
  }
  if (rows > 0)
    AddProduct(stage_of(Phase::kUnembed), weights.model().head.bytes(), rows, config.vocab_size, m);
}

}  // namespace oxidized::cuda
