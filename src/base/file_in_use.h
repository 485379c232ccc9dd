// Files that this process reads or runs. No output may replace one, whatever the name it is reached by: a
// model that is mapped would be lost, or the program itself (which a program says of itself, by KeepInUse).
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <utility>

namespace oxidized {

// What a file is, whatever its names.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const FileId&) const = default;
};

// While it lives, the file is in use.
class FileInUse {
 public:
  FileInUse() = default;
  explicit FileInUse(FileId id);
  FileInUse(FileInUse&& other) noexcept : id_(std::exchange(other.id_, {})) {}
  FileInUse& operator=(FileInUse&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~FileInUse();

 private:
  FileId id_;  // zeros: none
};

// From now on in use, as long as the process lives. What is not there is passed over.
void KeepInUse(const std::filesystem::path& file);

// The same for what stands behind an open descriptor, such as standard input.
void KeepInUse(int fd);

bool IsInUse(FileId id);

}  // namespace oxidized
