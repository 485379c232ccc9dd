#include "base/file_in_use.h"

#include <mutex>
#include <set>

namespace oxidized {
namespace {

// Never destroyed: files of static storage may outlive any order.
struct Table {
  std::mutex mutex;
  std::multiset<FileId> files;
};
Table& InUse() {
  static auto* table = new Table;
  return *table;
}

FileId IdOf(const char* path) {
  struct stat status{};
  if (::stat(path, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

}  // namespace

FileInUse::FileInUse(FileId id) : id_(id) {
  std::lock_guard lock(InUse().mutex);
  InUse().files.insert(id);
}

FileInUse::~FileInUse() {
  if (id_ == FileId{}) return;
  std::lock_guard lock(InUse().mutex);
  InUse().files.erase(InUse().files.find(id_));
}

void KeepInUse(const std::filesystem::path& file) {
  const FileId id = IdOf(file.c_str());
  if (id == FileId{}) return;
  std::lock_guard lock(InUse().mutex);
  InUse().files.insert(id);
}

void KeepInUse(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return;
  std::lock_guard lock(InUse().mutex);
  InUse().files.insert({status.st_dev, status.st_ino});
}

bool IsInUse(FileId id) {
  std::lock_guard lock(InUse().mutex);
  return InUse().files.contains(id);
}

}  // namespace oxidized
