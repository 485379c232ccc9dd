// Arrays of a step on their way to the card as one copy: put together on the host, sent from page-locked
// memory of which there are two, since the copy for the step before may still be under way.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/cuda/runtime/runtime.h"

namespace oxidized::cuda {

class StepUpload {
 public:
  void Begin() { bytes_.clear(); }
  // The place of the array; a pointer once it was sent.
  template <typename T>
  int64_t Put(std::span<const T> values) {
    const auto at = static_cast<int64_t>((bytes_.size() + 15) / 16 * 16);
    bytes_.resize(static_cast<size_t>(at) + values.size_bytes());
    if (!values.empty()) std::memcpy(bytes_.data() + at, values.data(), values.size_bytes());
    return at;
  }
  template <typename T>
  int64_t Put(const std::vector<T>& values) {
    return Put(std::span<const T>(values));
  }
  // The card's memory for what was put until now, which may move when it grows: pointers may be made of
  // places, and put, before the rest is sent. Waits for the stream where it grows.
  void Reserve(Stream& stream, int64_t more) {
    const auto wanted = static_cast<int64_t>(bytes_.size()) + more + 64;
    if (wanted <= device_.bytes()) return;
    stream.Wait();
    device_ = DeviceMemory();
    device_ = DeviceMemory(wanted * 2);
    for (PinnedMemory& memory : pinned_) memory = PinnedMemory(wanted * 2);
  }
  template <typename T>
  const T* At(int64_t place) const {
    return reinterpret_cast<const T*>(device_.data() + place);
  }
  void Send(Stream& stream, int which) {
    Reserve(stream, 0);
    PinnedMemory& memory = pinned_[static_cast<size_t>(which)];
    if (bytes_.empty()) return;
    std::memcpy(memory.data(), bytes_.data(), bytes_.size());
    stream.ToDevice(device_.data(), memory.data(), static_cast<int64_t>(bytes_.size()));
  }

 private:
  std::vector<uint8_t> bytes_;
  std::array<PinnedMemory, 2> pinned_;
  DeviceMemory device_;
};

}  // namespace oxidized::cuda
