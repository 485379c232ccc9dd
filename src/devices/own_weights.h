// Weights in memory of our own instead of a mapping: what use_mmap=false and the store of experts ask for,
// and how a device prepares them then (on mappings of its own, checkpoint/map_again.h). Neither a shrinking
// file nor memory running short takes away what every token reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/process.h"
#include "base/setting.h"

namespace oxidized {

// What a person can do where there is too little memory for it.
inline Remedy MapInstead() {
  return {Setting::kUseMmap, "leave out {}=false: mapped weights need not all be in memory"};
}

struct OwnedWeights {
  std::string model = {};  // what is read, for the message
  // Parts of the files that stay mapped: nobody computes with them.
  std::vector<std::span<const std::byte>> unread = {};
  int64_t beside_bytes = 0;  // memory that is going to be used as well
  Remedy remedy = {};        // of too little memory; the error is about its setting
  std::function<void(int64_t done, int64_t total)> progress = {};  // bytes; may be empty
};

// What is left of a file without these parts, some of which may lie in other files: whole pages.
std::vector<FileRange> PagesWithout(const MappedFile& file, std::vector<std::span<const std::byte>> parts);
int64_t BytesOf(const std::vector<FileRange>& ranges);

// Reads everything but `unread` of the files into memory, in the place of its mapping (MappedFile::Own).
// Throws Error(kNoMemory) before the first byte if it and `beside_bytes` do not fit into `available_bytes`;
// Error(kBadFile), Interrupted.
void OwnWeights(std::span<MappedFile> files, const OwnedWeights& what,
                int64_t available_bytes = AvailableMemoryBytes());

}  // namespace oxidized
