// What the runtime says of an error; nullptr: nothing went wrong.
#pragma once

#include <cuda_runtime.h>

namespace oxidized::cuda {

inline const char* Words(cudaError_t error) {
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace oxidized::cuda
