// Stored weights into units, one thread for each word of a unit.
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack_words.h"
#include "kernels/cuda/words.cuh"

namespace oxidized::cuda {
namespace {

constexpr int kPackThreads = 256;

__global__ void PackKernel(PackRows pack) {
  const Matrix& m = pack.to;
  const int64_t first_unit = int64_t{pack.first_row / kUnitRows} * m.chunks * m.planes;
  const int64_t units = int64_t{(pack.rows + kUnitRows - 1) / kUnitRows} * m.chunks * m.planes;
  const int words = m.unit_bytes / 4;
  const int64_t stride = int64_t{gridDim.x} * kPackThreads;
  for (int64_t i = int64_t{blockIdx.x} * kPackThreads + threadIdx.x; i < units * words; i += stride) {
    const int64_t unit = i / words;
    const int plane = static_cast<int>(unit % m.planes);
    const int64_t chunk = unit / m.planes % m.chunks, group = unit / m.planes / m.chunks;
    const uint32_t word =
        Bf16Word(static_cast<int>(i % words), m.unit_cols, [&](int row, int col) -> uint16_t {
          const int64_t r = group * kUnitRows + row, c = chunk * m.unit_cols + col;
          if (r >= pack.rows || c >= pack.cols) return 0;
          return PartOfStored(pack.from, pack.type, r * pack.cols + c, m.planes, plane);
        });
    reinterpret_cast<uint32_t*>(const_cast<uint8_t*>(m.units))[(first_unit * words) + i] = word;
  }
}

__global__ void PackCodesKernel(PackCodes pack) {
  const Matrix& m = pack.to;
  const int words = m.unit_bytes / 4, blocks = pack.cols / 32;
  const int64_t all = int64_t{m.groups} * m.chunks * words, stride = int64_t{gridDim.x} * kPackThreads;
  for (int64_t i = int64_t{blockIdx.x} * kPackThreads + threadIdx.x; i < all; i += stride) {
    const int64_t unit = i / words, chunk = unit % m.chunks, group = unit / m.chunks;
    reinterpret_cast<uint32_t*>(const_cast<uint8_t*>(m.units))[i] = Mxfp4Word(
        static_cast<int>(i % words), m.unit_cols,
        [&](int row, int col) -> uint32_t {
          const int64_t r = group * kUnitRows + row, c = chunk * m.unit_cols + col;
          if (r >= pack.rows || c >= pack.cols) return 0;
          return pack.codes[(r * pack.cols + c) / 2] >> (c % 2 * 4) & 15u;
        },
        [&](int row, int col) -> uint8_t {
          const int64_t r = group * kUnitRows + row, c = chunk * m.unit_cols + col;
          return r < pack.rows && c < pack.cols ? pack.scales[r * blocks + c / 32] : 0;
        });
  }
}

int BlocksFor(int64_t words) {
  const int64_t blocks = (words + kPackThreads - 1) / kPackThreads;
  return static_cast<int>(blocks < 8192 ? blocks : 8192);
}

}  // namespace

const char* LaunchPack(const PackRows& pack, void* stream) {
  const Matrix& m = pack.to;
  const int64_t words =
      int64_t{(pack.rows + kUnitRows - 1) / kUnitRows} * m.chunks * m.planes * (m.unit_bytes / 4);
  PackKernel<<<BlocksFor(words), kPackThreads, 0, static_cast<cudaStream_t>(stream)>>>(pack);
  return Words(cudaGetLastError());
}

const char* LaunchPackCodes(const PackCodes& pack, void* stream) {
  PackCodesKernel<<<BlocksFor(pack.to.bytes() / 4), kPackThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      pack);
  return Words(cudaGetLastError());
}

}  // namespace oxidized::cuda
