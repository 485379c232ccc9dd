// The scalar tier: the kernel bodies compiled with this tier's instructions. All is internal to this file but
// the table, so that no function made for newer processors can be linked into code for older ones.
#define OX_TIER_TABLE kCpuKernelsScalar
#define OX_TIER_NAME "scalar"
#define OX_TIER_INSTRUCTIONS "portable C++"
#define OX_TIER_VECTORS "kernels/cpu/body/vec_scalar.inc"
#define OX_TIER_INT8 "kernels/cpu/body/int8_scalar.inc"
#include "kernels/cpu/body/tier.inc"
