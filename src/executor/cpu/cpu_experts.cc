#include "executor/cpu/cpu_experts.h"

namespace oxidized {

CpuExperts::CpuExperts(const ModelConfig& config, const CpuKernels& kernels, XFormat format, ThreadTeam& team)
    : config_(config), kernels_(kernels), format_(format), team_(team) {}

ExpertCost CpuExperts::GateUp(std::span<const ExpertView> experts, std::span<const Group> groups,
                              const void* x, std::byte* gated) {
  const ExpertArgs args{.x = x,
                        .ldx = PaddedX(config_.hidden_size),
                        .y = gated,
                        .ldy = PaddedX(config_.expert_width),
                        .out = format_,
                        .alpha = config_.swiglu_alpha,
                        .limit = config_.swiglu_limit};
  return Run(experts, groups, args, &ExpertProducts::gate_up);
}

ExpertCost CpuExperts::Down(std::span<const ExpertView> experts, std::span<const Group> groups,
                            const std::byte* gated, float* parts) {
  const ExpertArgs args{
      .x = gated, .ldx = PaddedX(config_.expert_width), .y = parts, .ldy = config_.hidden_size};
  return Run(experts, groups, args, &ExpertProducts::down);
}

// Every thread does its share of every expert's rows.
ExpertCost CpuExperts::Run(std::span<const ExpertView> experts, std::span<const Group> groups,
                           const ExpertArgs& common, ExpertProduct ExpertProducts::* product) {
  team_.Run([&](int worker, int workers) {
    for (const Group& group : groups) {
      const ExpertView& e = experts[static_cast<size_t>(group.expert)];
      ExpertArgs args = common;
      SetWeights(e, args);
      args.x_rows = product == &ExpertProducts::gate_up ? group.tokens.data() : group.places.data();
      args.y_rows = group.places.data();
      args.tokens = static_cast<int64_t>(group.places.size());
      const Share share = ShareOf(e.rows, kRowGranule, worker, workers);
      (ExpertProductsFor(kernels_, e.layout, format_.type).*product)(args, share.begin, share.end);
    }
  });
  ExpertCost cost;
  for (const Group& group : groups) {
    const ExpertView& e = experts[static_cast<size_t>(group.expert)];
    cost.bytes += e.bytes();
    cost.flops += 2 * static_cast<int64_t>(group.places.size()) * e.rows * e.cols;
  }
  return cost;
}

}  // namespace oxidized
