// The avx512bf16 tier: the kernel bodies compiled with this tier's instructions. All is internal to this file
// but the table, so that no function made for newer processors can be linked into code for older ones.
#if defined(__x86_64__)
#define OX_TIER_TABLE kCpuKernelsAvx512Bf16
#define OX_TIER_NAME "avx512bf16"
#define OX_TIER_INSTRUCTIONS "AVX-512 F BW VL DQ VNNI VBMI BF16"
#define OX_TIER_VECTORS "kernels/cpu/body/vec_avx512.inc"
#define OX_TIER_INT8 "kernels/cpu/body/int8_avx512.inc"
#define OX_TIER_BF16_DOT "kernels/cpu/body/dot_avx512bf16.inc"
#include "kernels/cpu/body/tier.inc"
#endif
