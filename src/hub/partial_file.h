// A blob that is not complete yet: its bytes in blobs/HASH.oxidized.incomplete, written in any order, and
// beside it blobs/HASH.oxidized-ranges.incomplete, which says what is there. A process killed at any moment
// loses at most what came since the ranges were last written; the hash, checked in the end, catches whatever
// else a crash of the machine may leave.
//
// Its own names, because huggingface_hub took HASH.incomplete for the beginning of the file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "hub/range_set.h"

namespace oxidized::hub {

class PartialFile {
 public:
  // Opens or makes it; the caller holds the blob's lock. Takes over a HASH.incomplete that huggingface_hub
  // left, as the beginning. Reserves the disk space of all `size_bytes`. Throws Error(kNoMemory) when the
  // disk is full and Error(kBadFile).
  PartialFile(const std::filesystem::path& blob, int64_t size_bytes);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const RangeSet& done() const { return done_; }
  bool resumed() const { return resumed_; }  // there was something of an earlier process
  bool complete() const { return done_.PrefixEnd() >= size_bytes_; }
  int fd() const { return fd_; }

  // At `offset`, within the size (checked by the caller). Throws like the constructor.
  void Write(int64_t offset, std::span<const std::byte> bytes);
  void SaveRanges();  // cheap; the caller does so once a second, and before it gives up
  void Restart();     // forgets all bytes
  void Remove();      // from the disk
  // Synchronised to disk, then renamed to `blob`: only after the hash was found right.
  void Publish(const std::filesystem::path& blob);

  // What a partial file of this blob holds already; 0 without one. For the check of free space.
  static int64_t AllocatedBytes(const std::filesystem::path& blob);

 private:
  void Fallocate();

  std::filesystem::path data_, ranges_;
  int64_t size_bytes_;
  int fd_ = -1;
  RangeSet done_;
  bool resumed_ = false;
};

}  // namespace oxidized::hub
