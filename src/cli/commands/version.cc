// `--version`, and with --verbose what this build and machine are.
#include "base/printable.h"
#include "cli/options/options.h"
#include "cli/terminal/terminal.h"
#include "kernels/cpu/cpu_kernels.h"
#include "parallel/cpu_topology.h"

namespace oxidized::cli {

int PrintVersion(bool verbose) {
  WriteAnswer("oxidized_gpt_oss " OXIDIZED_VERSION "\n");
  if (!verbose) return 0;
  const CpuTopology topology = DetectCpuTopology();
  std::string tiers;
  for (const CpuTier& tier : CpuTiers()) {
    tiers += fmt::format(" {}{}", tier.kernels->name, tier.available ? "" : " (not on this machine)");
  }
  WriteAnswer(
      fmt::format("compiler: {}\nprocessors: {} usable, {} by default\ncpu tiers:{}\ncpu tier used: {}\n"
                  "executors: cpu, reference\n",
                  __VERSION__, topology.UsableCpus(), Counted(topology.DefaultThreads(), "thread"), tiers,
                  SelectCpuKernels().name));
  return 0;
}

}  // namespace oxidized::cli
