// An exclusive lock between processes: flock on a file that stays where it is, as the filelock package takes
// it for huggingface_hub, so that both programs wait for each other. The system lets go of it when its holder
// dies.
#pragma once

#include <filesystem>
#include <functional>

namespace oxidized::hub {

class FileLock {
 public:
  // Waits until nobody else holds it; `waiting` is called once if that takes time. A file system without
  // locks locks nothing, with a warning. Throws Interrupted, Error(kBadFile) when the file cannot be made.
  FileLock(const std::filesystem::path& path, const std::function<void()>& waiting);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace oxidized::hub
