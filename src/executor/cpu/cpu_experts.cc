#include "executor/cpu/cpu_experts.h"

#include <algorithm>

namespace oxidized {
namespace {

constexpr int64_t kManyRows = 12;        // of an expert, on average
constexpr int64_t kPartsOfAThread = 64;  // of a layer's experts; the last one makes the others wait

}  // namespace

CpuExperts::CpuExperts(const ModelConfig& config, const CpuKernels& kernels, XFormat format, ThreadTeam& team)
    : config_(config), kernels_(kernels), format_(format), team_(team) {}

ProductCost CpuExperts::GateUp(std::span<const ExpertView> experts, std::span<const Group> groups,
                               const void* x, std::byte* gated) {
  const bool int8 = format_.type == XType::kInt8;
  const ExpertArgs args{.x = x,
                        .ldx = XStride(format_.type, config_.hidden_size),
                        .y = gated,
                        .ldy = PaddedX(config_.expert_width),
                        .out = int8 ? XFormat{} : format_,
                        .alpha = config_.swiglu_alpha,
                        .limit = config_.swiglu_limit};
  const ProductCost cost = Run(experts, groups, args, &ExpertProducts::gate_up);
  if (int8) RoundGated(groups, gated);
  return cost;
}

ProductCost CpuExperts::Down(std::span<const ExpertView> experts, std::span<const Group> groups,
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

ProductCost CpuExperts::Run(std::span<const ExpertView> experts, std::span<const Group> groups,
                            const ExpertArgs& common, ExpertProduct ExpertProducts::* product) {
  ProductCost cost;
  int64_t rows = 0;
  for (const Group& group : groups) {
    const ExpertView& e = experts[static_cast<size_t>(group.expert)];
    const auto places = static_cast<int64_t>(group.places.size());
    cost.bytes += e.bytes();
    cost.flops += 2 * places * e.rows * e.cols;
    rows += places;
  }
  const auto count = static_cast<int64_t>(groups.size());
  if (count == 0) return cost;
  const auto expert_of = [&](int64_t index) -> const ExpertView& {
    return experts[static_cast<size_t>(groups[static_cast<size_t>(index)].expert)];
  };
  const auto multiply = [&](int64_t index, const Share& share, const std::byte* next) {
    const Group& group = groups[static_cast<size_t>(index)];
    const ExpertView& e = expert_of(index);
    ExpertArgs args = common;
    SetWeights(e, args);
    args.next = next;
    args.x_rows = product == &ExpertProducts::gate_up ? group.tokens.data() : group.places.data();
    args.y_rows = group.places.data();
    args.tokens = static_cast<int64_t>(group.places.size());
    (ExpertProductsFor(kernels_, e.layout, format_.type).*product)(args, share.begin, share.end);
  };
  if (rows >= kManyRows * count) {  // bound by arithmetic
    const auto parts = static_cast<int>(std::max<int64_t>(1, kPartsOfAThread * team_.size() / count));
    team_.ForEach(count * parts, [&](int64_t item, int) {
      const int64_t index = item / parts;
      multiply(index, ShareOf(expert_of(index).rows, kPartGranule, static_cast<int>(item % parts), parts),
               nullptr);
    });
    return cost;
  }
  // Bound by memory: every thread reads on through its share of every expert's rows.
  team_.Run([&](int worker, int workers) {
    const auto share_of = [&](const ExpertView& e) {
      return ShareOf(e.rows, RowGranuleOf(e), worker, workers);
    };
    for (int64_t i = 0; i < count; ++i) {
      const std::byte* next = nullptr;
      if (i + 1 < count) {
        const ExpertView& e = expert_of(i + 1);
        next = e.values + e.value_bytes() / e.rows * share_of(e).begin;
      }
      multiply(i, share_of(expert_of(i)), next);
    }
  });
  return cost;
}

}  // namespace oxidized
