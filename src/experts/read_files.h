// What the two ways of reading have in common: the open files and the queue of reads that have not begun.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experts/block_reader.h"

namespace oxidized::internal {

// Descriptors of the files, direct where the file system can.
class ReadFiles {
 public:
  ReadFiles(const std::vector<std::filesystem::path>& paths, const std::vector<int64_t>& sizes);
  ~ReadFiles();
  ReadFiles(const ReadFiles&) = delete;
  ReadFiles& operator=(const ReadFiles&) = delete;

  struct File {
    std::string path;
    int fd = -1;
    bool direct = false;
  };
  const File& at(int32_t i) const { return files_[static_cast<size_t>(i)]; }
  bool all_direct() const;

  // The page cache forgets a piece that was read through it: the store keeps its own copy.
  void Forget(const BlockRead& read) const;
  std::string EndsEarly(const BlockRead& read) const;
  std::string Failed(const BlockRead& read, int error) const;

 private:
  std::vector<File> files_;
};

// Not thread-safe.
class ReadQueue {
 public:
  void Push(const BlockRead& read, bool urgent) { (urgent ? urgent_ : later_).push_back(read); }
  std::optional<BlockRead> Pop();
  void Promote(uint64_t tag);
  int Cancel(uint64_t tag);
  bool empty() const { return urgent_.empty() && later_.empty(); }
  void Clear();

 private:
  std::deque<BlockRead> urgent_, later_;
};

// nullptr: this kernel (or its sandbox) has no io_uring for us, or the program was built without it. `files`
// is taken only on success.
std::unique_ptr<BlockReader> MakeUringReader(std::unique_ptr<ReadFiles>& files);
std::unique_ptr<BlockReader> MakeThreadReader(std::unique_ptr<ReadFiles> files);

}  // namespace oxidized::internal
