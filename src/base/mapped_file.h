// A whole file as read-only bytes: mapped (nothing is copied, pages arrive when touched), and any part of it
// read into memory of our own on demand. Used by every reader of model files; owns the bytes that weights are
// views of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/file_in_use.h"
#include "base/memory_registry.h"

namespace oxidized {

// Bytes [begin, end) of a file.
struct FileRange {
  int64_t begin = 0, end = 0;
};

class MappedFile {
 public:
  // Throws Error(kBadFile) naming the path when it cannot be opened or is not a regular file,
  // Error(kNoMemory).
  static MappedFile Open(const std::filesystem::path& path);

  // The same file mapped once more, whatever has its name now: for whoever wants to Own() it while others
  // read it. What is owned already is not. Throws Error(kNoMemory, kBadFile).
  MappedFile MapAgain() const;

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  int64_t modified_ns() const { return modified_ns_; }  // of what was mapped, when it was
  // Whether these bytes lie in this file, all of them still mapped.
  bool Maps(const std::byte* data, int64_t bytes) const;
  // The whole pages of these ranges.
  std::vector<FileRange> PagesOf(std::vector<FileRange> ranges) const;

  // Reads these ranges into memory of our own, in the place of their mapping: views of them stay right, and
  // nothing that becomes of the file matters to them any more. Once for a file, before its bytes are used by
  // other threads; after an exception they are unusable. `progress` gets the bytes done. Throws
  // Error(kBadFile) naming the path when the file shrank or cannot be read, Error(kNoMemory), Interrupted.
  void Own(
      const std::vector<FileRange>& ranges,
      const std::function<void(int64_t done)>& progress = [](int64_t) {});

  // Whether what Own() has read may be changed where it lies; not, at first.
  void LetOwnedBeWritten(bool writable);

  // The path of the mapped file that holds this address; nullptr: none does. For signal handlers: takes no
  // lock and allocates nothing. (Files beyond the first few hundred are not known to it.)
  static const char* PathAt(const void* address);

  // Share of these whole pages that is in memory already, 0 to 1: what touching them will not have to read. 1
  // where unknown.
  double ResidentShare(const std::vector<FileRange>& pages) const;
  // Reads these whole pages into the page cache front to back, as disks like it, instead of one by one in the
  // order of use. `progress` gets the bytes done; returning false stops.
  void ReadAhead(const std::vector<FileRange>& pages,
                 const std::function<bool(int64_t done)>& progress) const;

 private:
  MappedFile() = default;
  void Map();  // fd_, of size_ bytes
  void Register();

  std::filesystem::path path_;
  FileInUse in_use_;
  int fd_ = -1;  // what was mapped, whatever has the name now
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ns_ = 0;
  std::vector<FileRange> owned_;                   // whole pages, ascending
  std::vector<MemoryRegistration> registrations_;  // of what is mapped and what is owned, in turn
};

}  // namespace oxidized
