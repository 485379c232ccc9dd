// The CUDA runtime behind plain C++: devices, memory, one stream, events. Errors of the runtime become
// Error(kind), one line with what was tried. Nothing here includes a header of CUDA, so that all of the
// program compiles without them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace oxidized::cuda {

struct Card {
  int index = 0;
  std::string name;
  int major = 0, minor = 0, processors = 0;  // streaming multiprocessors
  int64_t memory_bytes = 0, free_bytes = 0;
};
struct Cards {
  std::vector<Card> cards;
  std::string error;  // why there are none: the runtime's words
};
// Every card that the driver shows. Never throws; without a driver it says so.
Cards FindCards();

void UseCard(int index);  // for this thread

// Memory of the card, freed with the object.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(int64_t bytes);  // not cleared; throws Error(kNoMemory)
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceMemory();
  uint8_t* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  int64_t bytes_ = 0;
};

// Page-locked memory of the host.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(int64_t bytes);  // throws Error(kNoMemory)
  PinnedMemory(PinnedMemory&& other) noexcept { *this = std::move(other); }
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~PinnedMemory();
  uint8_t* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  int64_t bytes_ = 0;
};

// A queue of the card: what is put in takes effect in order. Calls throw Error(kRequestFailed).
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void ToDevice(void* to, const void* from,
                int64_t bytes);  // `from` pageable: it is read before the call returns
  void ToHost(void* to, const void* from, int64_t bytes);
  void OnDevice(void* to, const void* from, int64_t bytes);
  void Fill(void* to, int byte, int64_t bytes);
  void Wait();
  void* handle() const { return handle_; }

 private:
  void* handle_ = nullptr;
};

// A mark in a stream, with its time.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void Record(Stream& stream);
  void Wait();  // until the stream has passed it; throws what went wrong before it
  static double Microseconds(const Event& from, const Event& to);  // of two that were waited for

 private:
  void* handle_ = nullptr;
};

// Gives out parts of one allocation, or only counts what they would take: one function lays out memory for
// planning and for use.
class Arena {
 public:
  explicit Arena(uint8_t* base = nullptr) : base_(base) {}
  template <typename T>
  T* Take(int64_t n) {
    const int64_t at = used_;
    used_ += (n * static_cast<int64_t>(sizeof(T)) + 255) / 256 * 256;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  int64_t used() const { return used_; }

 private:
  uint8_t* base_;
  int64_t used_ = 0;
};

}  // namespace oxidized::cuda
