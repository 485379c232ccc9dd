#include "executor/cpu/cpu_experts.h"

#include <algorithm>

namespace oxidized {

CpuExperts::CpuExperts(const ModelConfig& config, const CpuKernels& kernels, XFormat format, ThreadTeam& team)
    : config_(config),
      kernels_(kernels),
      format_(format),
      team_(team),
      scratch_bytes_((ExpertScratchBytes(std::max(config.hidden_size, config.expert_width)) + 63) / 64 * 64),
      scratch_("kernel scratch", MemoryClass::kActivations,
               static_cast<size_t>(scratch_bytes_ * team.size())) {}

ExpertCost CpuExperts::GateUp(std::span<const ExpertView> experts, std::span<const Group> groups,
                              const void* x, std::byte* gated) {
  const ExpertArgs args{.x = x,
                        .ldx = PaddedX(config_.hidden_size),
                        .y = gated,
                        .ldy = PaddedX(config_.expert_width),
                        .out = format_,
                        .alpha = config_.swiglu_alpha,
                        .limit = config_.swiglu_limit};
  return Run(experts, groups, args, /*x_by_token=*/true,
             [this](const ExpertView& e) { return GateUpProductFor(kernels_, e.layout, format_.type); });
}

ExpertCost CpuExperts::Down(std::span<const ExpertView> experts, std::span<const Group> groups,
                            const std::byte* gated, float* parts) {
  const ExpertArgs args{
      .x = gated, .ldx = PaddedX(config_.expert_width), .y = parts, .ldy = config_.hidden_size};
  return Run(experts, groups, args, /*x_by_token=*/false,
             [this](const ExpertView& e) { return DownProductFor(kernels_, e.layout, format_.type); });
}

// Every thread does its share of every expert's rows.
template <typename ProductOf>
ExpertCost CpuExperts::Run(std::span<const ExpertView> experts, std::span<const Group> groups,
                           const ExpertArgs& common, bool x_by_token, ProductOf product_of) {
  team_.Run([&](int worker, int workers) {
    for (const Group& group : groups) {
      const ExpertView& e = experts[static_cast<size_t>(group.expert)];
      ExpertArgs args = common;
      args.x_rows = x_by_token ? group.tokens.data() : group.places.data();
      args.y_rows = group.places.data();
      args.blocks = e.values;
      args.scales = e.scales;
      args.value_type = e.dtype;
      args.bias = e.bias.data;
      args.bias_type = e.bias.dtype;
      args.tokens = static_cast<int64_t>(group.places.size());
      args.n = e.rows;
      args.k = e.cols;
      args.scratch = scratch_.data() + worker * scratch_bytes_;
      const Share share = ShareOf(e.rows, kRowGranule, worker, workers);
      product_of(e)(args, share.begin, share.end);
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
