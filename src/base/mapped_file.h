// A whole file as read-only bytes: mapped (the default: nothing is copied, pages arrive when touched) or read
// into memory. Used by every reader of model files; owns the bytes that weights are views of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

#include "base/memory_registry.h"

namespace oxidized {

class MappedFile {
 public:
  enum class Mode { kMap, kRead };

  // Throws Error(kBadFile) naming the path when it cannot be opened, is no regular file, or shrinks while
  // read.
  static MappedFile Open(const std::filesystem::path& path, Mode mode = Mode::kMap);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  bool mapped() const { return mapped_; }

  // The path of the mapped file that holds this address; nullptr: none does. For signal handlers: takes no
  // lock and allocates nothing. (Files beyond the first few hundred are not known to it.)
  static const char* PathAt(const void* address);

  // Share of the bytes [begin, end) that is in memory already, 0 to 1: what touching them will not have to
  // read. 1 where unknown.
  double ResidentShare(int64_t begin, int64_t end) const;
  // Reads the bytes [begin, end) into the page cache front to back, as disks like it, instead of page by page
  // in the order of use. `progress` gets the bytes done; returning false stops. Does nothing for a file that
  // was read.
  void ReadAhead(int64_t begin, int64_t end, const std::function<bool(int64_t done)>& progress) const;

 private:
  MappedFile() = default;

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
  MemoryRegistration registration_;
};

}  // namespace oxidized
