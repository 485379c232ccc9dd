#include "executor/cpu/cpu_experts.h"

namespace oxidized {

CpuExperts::CpuExperts(const ModelConfig& config, const CpuKernels& kernels, XFormat format, ThreadTeam& team)
    : config_(config), kernels_(kernels), format_(format), team_(team) {}

ExpertCost CpuExperts::GateUp(std::span<const ExpertView> experts, std::span<const Group> groups,
                              const void* x, std::byte* gated) {
  const bool int8 = format_.type == XType::kInt8;
  const ExpertArgs args{.x = x,
                        .ldx = XStride(format_.type, config_.hidden_size),
                        .y = gated,
                        .ldy = PaddedX(config_.expert_width),
                        .out = int8 ? XFormat{} : format_,
                        .alpha = config_.swiglu_alpha,
                        .limit = config_.swiglu_limit};
  const ExpertCost cost = Run(experts, groups, args, &ExpertProducts::gate_up);
  if (int8) RoundGated(groups, gated);
  return cost;
}

ExpertCost CpuExperts::Down(std::span<const ExpertView> experts, std::span<const Group> groups,
                            const std::byte* gated, float* parts) {
  const bool int8 = format_.type == XType::kInt8;
  const int64_t width = config_.expert_width;
  const ExpertArgs args{.x = gated,
                        .ldx = int8 ? GatedRowBytes(format_, width) : PaddedX(width),
                        .y = parts,
                        .ldy = config_.hidden_size};
  return Run(experts, groups, args, &ExpertProducts::down);
}

// Blocks of 32 outputs do not end where the threads' shares of the product do: so it leaves f32.
void CpuExperts::RoundGated(std::span<const Group> groups, std::byte* gated) {
  const int64_t row_bytes = GatedRowBytes(format_, config_.expert_width);
  team_.Run([&](int worker, int workers) {
    int turn = 0;
    for (const Group& group : groups) {
      for (const int32_t place : group.places) {
        if (turn++ % workers != worker) continue;
        std::byte* row = gated + place * row_bytes;
        kernels_.f32_to_x(reinterpret_cast<const float*>(row), config_.expert_width, format_, row);
      }
    }
  });
}

// Every thread does its share of every expert's rows.
ExpertCost CpuExperts::Run(std::span<const ExpertView> experts, std::span<const Group> groups,
                           const ExpertArgs& common, ExpertProduct ExpertProducts::* product) {
  team_.Run([&](int worker, int workers) {
    for (size_t i = 0; i < groups.size(); ++i) {
      const Group& group = groups[i];
      const ExpertView& e = experts[static_cast<size_t>(group.expert)];
      ExpertArgs args = common;
      SetWeights(e, args);
      if (i + 1 < groups.size()) {
        const ExpertView& next = experts[static_cast<size_t>(groups[i + 1].expert)];
        const Share share = ShareOf(next.rows, RowGranuleOf(next), worker, workers);
        args.next = next.values + next.value_bytes() / next.rows * share.begin;
      }
      args.x_rows = product == &ExpertProducts::gate_up ? group.tokens.data() : group.places.data();
      args.y_rows = group.places.data();
      args.tokens = static_cast<int64_t>(group.places.size());
      const Share share = ShareOf(e.rows, RowGranuleOf(e), worker, workers);
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
