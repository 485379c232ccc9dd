#include "experts/read_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/file_advice.h"
#include "base/printable.h"

namespace oxidized::internal {
namespace {

#ifndef O_DIRECT
constexpr int O_DIRECT = 0;
#endif

// Some file systems take the flag and refuse the first read.
bool DirectReadWorks(int fd) {
  void* page = std::aligned_alloc(kReadAlignment, kReadAlignment);
  if (page == nullptr) return false;
  const bool works = ::pread(fd, page, kReadAlignment, 0) >= 0;
  std::free(page);
  return works;
}

}  // namespace

ReadFiles::ReadFiles(const std::vector<std::filesystem::path>& paths, const std::vector<int64_t>& sizes) {
  files_.reserve(paths.size());
  for (size_t i = 0; i < paths.size(); ++i) {
    File& file = files_.emplace_back();
    file.path = paths[i].string();
    if (O_DIRECT != 0) {
      file.fd = ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
      if (file.fd >= 0 && !DirectReadWorks(file.fd)) {
        ::close(file.fd);
        file.fd = -1;
      }
      file.direct = file.fd >= 0;
    }
    if (file.fd < 0) file.fd = ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status{};
    const bool opened = file.fd >= 0 && ::fstat(file.fd, &status) == 0;
    const bool same = opened && status.st_size == sizes[i];
    if (same) continue;
    const std::string why = opened ? fmt::format("has {}, had {} when it was opened first",
                                                 Counted(status.st_size, "byte"), sizes[i])
                                   : std::strerror(errno);
    for (File& open : files_) {  // the destructor does not run when a constructor throws
      if (open.fd >= 0) ::close(open.fd);
    }
    Fail(ErrorKind::kBadFile, "{}: {}", paths[i].string(), why);
  }
}

ReadFiles::~ReadFiles() {
  for (const File& file : files_) ::close(file.fd);
}

bool ReadFiles::all_direct() const {
  return std::all_of(files_.begin(), files_.end(), [](const File& file) { return file.direct; });
}

void ReadFiles::Forget(const BlockRead& read) const {
  if (!at(read.file).direct) AdviseForget(at(read.file).fd, read.offset, read.bytes);
}

std::string ReadFiles::EndsEarly(const BlockRead& read) const {
  struct stat status{};
  ::fstat(at(read.file).fd, &status);
  return fmt::format("{}: ends at byte {}, an expert was expected at {}: was the file truncated?",
                     at(read.file).path, static_cast<int64_t>(status.st_size), read.offset);
}

std::string ReadFiles::Failed(const BlockRead& read, int error) const {
  return fmt::format("{}: reading an expert at byte {} failed: {}", at(read.file).path, read.offset,
                     std::strerror(error));
}

std::optional<BlockRead> ReadQueue::Pop() {
  std::deque<BlockRead>& from = urgent_.empty() ? later_ : urgent_;
  if (from.empty()) return std::nullopt;
  const BlockRead read = from.front();
  from.pop_front();
  return read;
}

void ReadQueue::Promote(uint64_t tag) {
  for (const BlockRead& read : later_) {
    if (read.tag == tag) urgent_.push_back(read);
  }
  std::erase_if(later_, [tag](const BlockRead& read) { return read.tag == tag; });
}

int ReadQueue::Cancel(uint64_t tag) {
  const auto has_tag = [tag](const BlockRead& read) { return read.tag == tag; };
  return static_cast<int>(std::erase_if(urgent_, has_tag) + std::erase_if(later_, has_tag));
}

void ReadQueue::Clear() {
  urgent_.clear();
  later_.clear();
}

}  // namespace oxidized::internal

namespace oxidized {

std::unique_ptr<BlockReader> MakeBlockReader(const std::vector<std::filesystem::path>& files,
                                             const std::vector<int64_t>& sizes, ReadMethod method) {
  auto opened = std::make_unique<internal::ReadFiles>(files, sizes);
  // Through the page cache io_uring would only hand the reads to kernel threads.
  if (method == ReadMethod::kUring || (method == ReadMethod::kAuto && opened->all_direct())) {
    if (auto reader = internal::MakeUringReader(opened)) return reader;
    if (method == ReadMethod::kUring)
      Fail(ErrorKind::kUnsupported, "io_uring: not allowed by this kernel, or not built in");
  }
  return internal::MakeThreadReader(std::move(opened));
}

}  // namespace oxidized
