// The avx2 tier: the kernel bodies compiled with this tier's instructions. All is internal to this file but
// the table, so that no function made for newer processors can be linked into code for older ones.
#if defined(__x86_64__)
#define OX_TIER_TABLE kCpuKernelsAvx2
#define OX_TIER_NAME "avx2"
#define OX_TIER_INSTRUCTIONS "AVX2 FMA F16C"
#define OX_TIER_VECTORS "kernels/cpu/body/vec_avx2.inc"
#define OX_TIER_INT8 "kernels/cpu/body/int8_avx2.inc"
#include "kernels/cpu/body/tier.inc"
#endif
