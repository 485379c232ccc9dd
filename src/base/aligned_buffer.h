// Zero-filled, 64-byte aligned array for weights, KV and activations. Anonymous pages, so that address space
// reserved but never touched (a KV pool for the full context, say) costs no memory. Registers itself in the
// memory registry.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "base/memory_registry.h"

namespace oxidized {

namespace internal {
void* MapPages(size_t bytes);  // throws Error(kNoMemory); nullptr for 0 bytes
void UnmapPages(void* data, size_t bytes) noexcept;
}  // namespace internal

// Large pages for a range that will be used whole, if the system has them. Only a matter of speed.
void AdviseHugePages(void* data, size_t bytes) noexcept;

template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  AlignedBuffer(std::string owner, MemoryClass memory_class, size_t size)
      : data_(static_cast<T*>(internal::MapPages(size * sizeof(T)))),
        size_(size),
        registration_(std::move(owner), memory_class, static_cast<int64_t>(size * sizeof(T)), data_) {}
  AlignedBuffer(AlignedBuffer&& other) noexcept { *this = std::move(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(registration_, other.registration_);
    return *this;
  }
  ~AlignedBuffer() { internal::UnmapPages(data_, size_ * sizeof(T)); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
  MemoryRegistration registration_;
};

}  // namespace oxidized
