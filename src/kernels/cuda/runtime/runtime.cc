#include "kernels/cuda/runtime/runtime.h"

#include <cuda_runtime_api.h>

namespace oxidized::cuda {
namespace {

void Check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  Fail(ErrorKind::kRequestFailed, "cuda: {}: {}", what, cudaGetErrorString(error));
}
cudaStream_t StreamOf(void* handle) { return static_cast<cudaStream_t>(handle); }
cudaEvent_t EventOf(void* handle) { return static_cast<cudaEvent_t>(handle); }

}  // namespace

Cards FindCards() {
  Cards found;
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    found.error = cudaGetErrorString(error);
    cudaGetLastError();
    return found;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    Card card{i,
              properties.name,
              properties.major,
              properties.minor,
              properties.multiProcessorCount,
              static_cast<int64_t>(properties.totalGlobalMem),
              0};
    size_t free = 0, total = 0;
    int before = 0;
    if (cudaGetDevice(&before) == cudaSuccess && cudaSetDevice(i) == cudaSuccess) {
      if (cudaMemGetInfo(&free, &total) == cudaSuccess) card.free_bytes = static_cast<int64_t>(free);
      cudaSetDevice(before);
    }
    found.cards.push_back(card);
  }
  if (found.cards.empty()) found.error = "the driver shows no card";
  cudaGetLastError();
  return found;
}

void UseCard(int index) {
  if (const cudaError_t error = cudaSetDevice(index); error != cudaSuccess)
    Fail(ErrorKind::kUnsupported, "cuda: card {} cannot be used: {}", index, cudaGetErrorString(error));
}

DeviceMemory::DeviceMemory(int64_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* data = nullptr;
  if (const cudaError_t error = cudaMalloc(&data, static_cast<size_t>(bytes)); error != cudaSuccess) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    Fail(ErrorKind::kNoMemory, "cuda: {:.2f} GiB of the card's memory were asked for, {:.2f} are free ({})",
         static_cast<double>(bytes) / (1 << 30), static_cast<double>(free) / (1 << 30),
         cudaGetErrorString(error));
  }
  data_ = static_cast<uint8_t*>(data);
}
DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr) cudaFree(data_);
}

PinnedMemory::PinnedMemory(int64_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* data = nullptr;
  if (const cudaError_t error = cudaMallocHost(&data, static_cast<size_t>(bytes)); error != cudaSuccess) {
    cudaGetLastError();
    Fail(ErrorKind::kNoMemory, "cuda: {} bytes of page-locked memory: {}", bytes, cudaGetErrorString(error));
  }
  data_ = static_cast<uint8_t*>(data);
}
PinnedMemory::~PinnedMemory() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

Stream::Stream() {
  cudaStream_t stream;
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
  handle_ = stream;
}
Stream::~Stream() {
  cudaStreamSynchronize(StreamOf(handle_));
  cudaStreamDestroy(StreamOf(handle_));
}
void Stream::ToDevice(void* to, const void* from, int64_t bytes) {
  if (bytes == 0) return;
  Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, StreamOf(handle_)),
        "copying to the card");
}
void Stream::ToHost(void* to, const void* from, int64_t bytes) {
  if (bytes == 0) return;
  Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, StreamOf(handle_)),
        "copying from the card");
}
void Stream::OnDevice(void* to, const void* from, int64_t bytes) {
  if (bytes == 0) return;
  Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, StreamOf(handle_)),
        "copying on the card");
}
void Stream::Fill(void* to, int byte, int64_t bytes) {
  if (bytes == 0) return;
  Check(cudaMemsetAsync(to, byte, static_cast<size_t>(bytes), StreamOf(handle_)), "clearing memory");
}
void Stream::Wait() { Check(cudaStreamSynchronize(StreamOf(handle_)), "waiting for the card"); }

Event::Event() {
  cudaEvent_t event;
  Check(cudaEventCreate(&event), "an event");
  handle_ = event;
}
Event::~Event() { cudaEventDestroy(EventOf(handle_)); }
void Event::Record(Stream& stream) {
  Check(cudaEventRecord(EventOf(handle_), StreamOf(stream.handle())), "marking the stream");
}
void Event::Wait() { Check(cudaEventSynchronize(EventOf(handle_)), "a step on the card"); }
double Event::Microseconds(const Event& from, const Event& to) {
  float milliseconds = 0.0f;
  if (cudaEventElapsedTime(&milliseconds, EventOf(from.handle_), EventOf(to.handle_)) != cudaSuccess) {
    cudaGetLastError();
    return 0.0;
  }
  return 1e3 * static_cast<double>(milliseconds);
}

}  // namespace oxidized::cuda
