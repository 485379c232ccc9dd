// The experts' products of one layer of a step on the CPU: rows grouped by expert in, each choice's output
// out. Works on any subset of a step's groups, so that experts may become resident in waves: choices write to
// places of their own, and no order or division of the groups changes a bit. What is done with the outputs
// (weights, sum in rank order) is the executor's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "executor/cpu/cpu_products.h"
#include "executor/cpu/expert_groups.h"
#include "model/model_config.h"
#include "model/weights.h"
#include "parallel/thread_team.h"

namespace oxidized {

class CpuExperts {
 public:
  using Group = ExpertGroups::Group;

  // Keeps references to `kernels` and `team`.
  CpuExperts(const ModelConfig& config, const CpuKernels& kernels, XFormat format, ThreadTeam& team);

  // gated[place] = SwiGLU(x[token] W1 + bias) of every choice of `groups`; x [T, M] and gated
  // [T * ranks, F] in the products' format, rows padded and GatedRowBytes() apart. `experts` [E] are the
  // layer's, indexed by Group::expert; only those of `groups` are looked at.
  ProductCost GateUp(std::span<const ExpertView> experts, std::span<const Group> groups, const void* x,
                     std::byte* gated);
  // parts[place] = gated[place] W2 + bias; parts [T * ranks, M].
  ProductCost Down(std::span<const ExpertView> experts, std::span<const Group> groups, const std::byte* gated,
                   float* parts);

 private:
  void RoundGated(std::span<const Group> groups, std::byte* gated);
  ProductCost Run(std::span<const ExpertView> experts, std::span<const Group> groups,
                  const ExpertArgs& common, ExpertProduct ExpertProducts::* product);

  const ModelConfig& config_;
  const CpuKernels& kernels_;
  const XFormat format_;
  ThreadTeam& team_;
};

}  // namespace oxidized
