// Marks a function that also runs on a device whose kernels are C++ (CUDA, HIP): plain arithmetic, no
// allocation, no exceptions, nothing of the library but constexpr functions (nvcc: --expt-relaxed-constexpr).
// Says nothing of shader languages: those mirror such a function in their own words.
#pragma once

#if defined(__CUDACC__) || defined(__HIPCC__)
#define OX_HOST_DEVICE __host__ __device__
#else
#define OX_HOST_DEVICE
#endif
