// The neoni8mm tier: the kernel bodies compiled with this tier's instructions. All is internal to this file
// but the table, so that no function made for newer processors can be linked into code for older ones.
#if defined(__aarch64__)
#define OX_TIER_TABLE kCpuKernelsNeonI8mm
#define OX_TIER_NAME "neoni8mm"
#define OX_TIER_INSTRUCTIONS "NEON BF16 DOTPROD I8MM"
#define OX_TIER_VECTORS "kernels/cpu/body/vec_neon.inc"
#define OX_TIER_INT8 "kernels/cpu/body/int8_neon.inc"
#define OX_TIER_BF16_DOT "kernels/cpu/body/dot_neonbf16.inc"
#include "kernels/cpu/body/tier.inc"
#endif
