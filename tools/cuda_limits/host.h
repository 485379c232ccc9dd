// What every measurement shares on the host: checked calls, device memory, times of replayed graphs, rows of
// the result. Times are medians of several replays, with the smallest and the largest beside them. Not a
// library: errors print one line and end the program.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace limits {

inline void Check(cudaError_t status, const char* what, const char* file, int line) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, cudaGetErrorString(status));
  std::exit(1);
}
#define CUDA_OK(call) ::limits::Check((call), #call, __FILE__, __LINE__)

// Plain device memory, uninitialised.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count) : count_(count) { CUDA_OK(cudaMalloc(&data_, count * sizeof(T))); }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    CUDA_OK(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  Buffer(Buffer&& other) noexcept { Swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Swap(other);
    return *this;
  }
  ~Buffer() { cudaFree(data_); }
  T* get() const { return data_; }
  size_t size() const { return count_; }
  void Zero() { CUDA_OK(cudaMemset(data_, 0, count_ * sizeof(T))); }
  std::vector<T> Host() const {
    std::vector<T> values(count_);
    CUDA_OK(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  void Swap(Buffer& other) {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }
  T* data_ = nullptr;
  size_t count_ = 0;
};

struct Times {
  double median = 0, low = 0, high = 0;
};

inline Times Summary(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

// The stream, the card's figures, and how much to measure.
struct Setup {
  cudaStream_t stream = nullptr;
  int sms = 0;
  double tb_per_s = 4.64;  // the ceiling that shares refer to; section a measures it
  bool quick = false;      // small sizes, one repetition: for the sanitizer
  int replays = 7;
};

// Captures what `body` launches into one graph, replays it, gives microseconds of one replay divided by
// `parts`.
template <class Body>
Times TimeGraph(const Setup& setup, int parts, Body body) {
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_OK(cudaStreamBeginCapture(setup.stream, cudaStreamCaptureModeGlobal));
  body(setup.stream);
  CUDA_OK(cudaStreamEndCapture(setup.stream, &graph));
  CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
  cudaEvent_t begin, end;
  CUDA_OK(cudaEventCreate(&begin));
  CUDA_OK(cudaEventCreate(&end));
  const int warm = setup.quick ? 0 : 2;
  std::vector<double> us;
  for (int i = 0; i < warm + (setup.quick ? 1 : setup.replays); ++i) {
    CUDA_OK(cudaEventRecord(begin, setup.stream));
    CUDA_OK(cudaGraphLaunch(exec, setup.stream));
    CUDA_OK(cudaEventRecord(end, setup.stream));
    CUDA_OK(cudaEventSynchronize(end));
    float ms = 0;
    CUDA_OK(cudaEventElapsedTime(&ms, begin, end));
    if (i >= warm) us.push_back(ms * 1e3 / parts);
  }
  CUDA_OK(cudaEventDestroy(begin));
  CUDA_OK(cudaEventDestroy(end));
  CUDA_OK(cudaGraphExecDestroy(exec));
  CUDA_OK(cudaGraphDestroy(graph));
  return Summary(us);
}

struct LaunchShape {
  int blocks = 1, threads = 32;
  size_t shared = 0;
  bool programmatic = false;  // an edge of programmatic dependent launch to the kernel before
  bool cooperative = false;
};

template <class Kernel, class... Args>
void Launch(cudaStream_t stream, const LaunchShape& shape, Kernel kernel, Args... args) {
  if (shape.shared > 48 * 1024)
    CUDA_OK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shape.shared)));
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shape.blocks);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared;
  config.stream = stream;
  cudaLaunchAttribute attributes[2];
  int n = 0;
  if (shape.programmatic) {
    attributes[n].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[n++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cooperative) {
    attributes[n].id = cudaLaunchAttributeCooperative;
    attributes[n++].val.cooperative = 1;
  }
  config.attrs = attributes;
  config.numAttrs = n;
  CUDA_OK(cudaLaunchKernelEx(&config, kernel, args...));
}

// ---- rows -------------------------------------------------------------------------------------------------

inline void Section(const char* title, const char* columns) {
  std::printf("\n## %s\n\n| what | %s |\n|---|", title, columns);
  for (const char* c = columns; *c; ++c)
    if (*c == '|') std::printf("---|");
  std::printf("---|\n");
  std::fflush(stdout);
}

inline std::string Format(const char* format, auto... values) {
  char text[512];
  std::snprintf(text, sizeof(text), format, values...);
  return text;
}

inline void Row(const std::string& what, const std::string& cells) {
  std::printf("| %s | %s |\n", what.c_str(), cells.c_str());
  std::fflush(stdout);
}

// us, bytes per second, share of the ceiling.
inline void RateRow(const Setup& setup, const std::string& what, Times us, double bytes) {
  Row(what, Format("%.2f | %.2f..%.2f | %.2f | %.0f %%", us.median, us.low, us.high, bytes / us.median * 1e-6,
                   100 * bytes / us.median * 1e-6 / setup.tb_per_s));
}
inline constexpr const char* kRateColumns = "us | range | TB/s | share";

// The sections of the program.
void MeasureCeilings(Setup& setup);
void MeasureBoundaries(const Setup& setup);
void MeasureLoops(const Setup& setup);
void MeasureMmaBits(const Setup& setup);
void MeasureHostCosts(const Setup& setup);
void MeasureStep(const Setup& setup);
double SmClockMhz(const Setup& setup);

// Random bits for all of `bytes` (a multiple of 4) on the device.
void FillRandom(const Setup& setup, void* data, size_t bytes, uint32_t seed);

}  // namespace limits
