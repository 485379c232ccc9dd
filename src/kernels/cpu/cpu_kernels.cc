#include "kernels/cpu/cpu_kernels.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "kernels/cpu/arm_features.h"
#include "kernels/cpu/tiers.h"

namespace oxidized {
namespace {

int64_t RoundUpTo(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

std::string AvailableNames() {
  std::string names;
  for (const CpuTier& tier : CpuTiers()) {
    if (tier.available) names += (names.empty() ? "" : ", ") + std::string(tier.kernels->name);
  }
  return names;
}

}  // namespace

int64_t KvHeadElements(int32_t head_dim) { return kKernelBlockTokens * (head_dim + RoundUpTo(head_dim, 32)); }

int64_t AttentionScratchFloats(int32_t head_dim) { return 8 * RoundUpTo(head_dim, 32); }

std::vector<CpuTier> CpuTiers() {
#if defined(__x86_64__)
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
                    __builtin_cpu_supports("avx512bf16");
  return {{&kCpuKernelsScalar, true},
          {&kCpuKernelsAvx2, avx2},
          {&kCpuKernelsAvx512, avx512},
          {&kCpuKernelsAvx512Bf16, bf16}};
#elif defined(__aarch64__)
  const ArmFeatures has = DetectArmFeatures();
  const bool bf16 = has.bf16 && has.dotprod;
  return {{&kCpuKernelsScalar, true},
          {&kCpuKernelsNeon, true},  // every 64-bit ARM has it
          {&kCpuKernelsNeonDot, has.dotprod},
          {&kCpuKernelsNeonBf16, bf16},
          {&kCpuKernelsNeonI8mm, bf16 && has.i8mm}};
#else
  return {{&kCpuKernelsScalar, true}};
#endif
}

const CpuKernels& SelectCpuKernels(const std::string& name) {
  const CpuKernels* best = nullptr;
  for (const CpuTier& tier : CpuTiers()) {
    if (tier.available && (name.empty() || name == tier.kernels->name)) best = tier.kernels;
  }
  if (best == nullptr) {
    Fail(ErrorKind::kUsage, "OXIDIZED_CPU_TIER is '{}', expected one that this machine has: {}", name,
         AvailableNames());
  }
  return *best;
}

const CpuKernels& SelectCpuKernels() {
  const char* name = std::getenv("OXIDIZED_CPU_TIER");
  return SelectCpuKernels(name != nullptr ? name : "");
}

}  // namespace oxidized
