#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/interrupt.h"

namespace oxidized {
namespace {

struct FileDescriptor {
  int fd;
  ~FileDescriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// mmap rather than malloc, so that reading a large file and mapping it differ in nothing but who fills the
// pages.
std::byte* MapAnonymous(const std::filesystem::path& path, size_t size) {
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    Fail(ErrorKind::kNoMemory, "{}: no memory for its {} bytes (--use-mmap=true needs none)", path.string(),
         size);
  }
  AdviseHugePages(data, size);
  return static_cast<std::byte*>(data);
}

void ReadAll(int fd, const std::filesystem::path& path, std::byte* data, size_t size) {
  size_t done = 0;
  constexpr size_t kMostAtOnce = size_t{64} << 20;
  while (done < size) {
    ThrowIfInterrupted();
    const ssize_t got =
        ::pread(fd, data + done, std::min(size - done, kMostAtOnce), static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) Fail(ErrorKind::kBadFile, "{}: read failed: {}", path.string(), std::strerror(errno));
    if (got == 0) Fail(ErrorKind::kBadFile, "{}: became shorter while it was read", path.string());
    done += static_cast<size_t>(got);
  }
}

// What MappedFile::PathAt knows. A row is written before its `begin` is set, and never while it is.
struct KnownMapping {
  std::atomic<const std::byte*> begin = nullptr;
  size_t size = 0;
  char path[512] = {};
};
KnownMapping known_mappings[512];
std::mutex known_mutex;

void Remember(const std::byte* data, size_t size, const std::filesystem::path& path) {
  std::lock_guard lock(known_mutex);
  for (KnownMapping& row : known_mappings) {
    if (row.begin.load() != nullptr) continue;
    row.size = size;
    const std::string text = path.string();
    row.path[text.copy(row.path, sizeof(row.path) - 1)] = '\0';
    row.begin.store(data);
    return;
  }
}

void Forget(const std::byte* data) {
  std::lock_guard lock(known_mutex);
  for (KnownMapping& row : known_mappings) {
    if (row.begin.load() == data) row.begin.store(nullptr);
  }
}

}  // namespace

const char* MappedFile::PathAt(const void* address) {
  const auto* at = static_cast<const std::byte*>(address);
  for (const KnownMapping& row : known_mappings) {
    const std::byte* begin = row.begin.load();
    if (begin != nullptr && at >= begin && at < begin + row.size) return row.path;
  }
  return nullptr;
}

MappedFile MappedFile::Open(const std::filesystem::path& path, Mode mode) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer; regular files ignore it.
  FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) Fail(ErrorKind::kBadFile, "{}: {}", path.string(), std::strerror(errno));
  struct stat status{};
  if (::fstat(file.fd, &status) != 0)
    Fail(ErrorKind::kBadFile, "{}: {}", path.string(), std::strerror(errno));
  if (!S_ISREG(status.st_mode)) Fail(ErrorKind::kBadFile, "{}: not a regular file", path.string());

  MappedFile result;
  result.path_ = path;
  const size_t size = static_cast<size_t>(status.st_size);
  if (size == 0) return result;
  if (mode == Mode::kMap) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (data == MAP_FAILED)
      Fail(ErrorKind::kBadFile, "{}: cannot be mapped: {}", path.string(), std::strerror(errno));
    result.data_ = static_cast<const std::byte*>(data);
    result.size_ = size;
    result.mapped_ = true;
    Remember(result.data_, size, path);
  } else {
    std::byte* data = MapAnonymous(path, size);
    result.data_ = data;  // owned from here on, also when the read throws
    result.size_ = size;
    ReadAll(file.fd, path, data, size);
  }
  result.registration_ = MemoryRegistration(path.filename().string(),
                                            mode == Mode::kMap ? MemoryClass::kMapped : MemoryClass::kWeights,
                                            static_cast<int64_t>(size), result.data_);
  return result;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  std::swap(registration_, other.registration_);
  return *this;
}

double MappedFile::ResidentShare(int64_t begin, int64_t end) const {
  if (!mapped_ || begin >= end) return 1.0;
  const auto page = static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
  begin = begin / page * page;
  std::vector<unsigned char> resident(static_cast<size_t>((end - begin + page - 1) / page));
  if (::mincore(const_cast<std::byte*>(data_) + begin, static_cast<size_t>(end - begin), resident.data()) !=
      0)
    return 1.0;
  const auto pages =
      std::count_if(resident.begin(), resident.end(), [](unsigned char flags) { return (flags & 1) != 0; });
  return static_cast<double>(pages) / static_cast<double>(resident.size());
}

void MappedFile::ReadAhead(int64_t begin, int64_t end,
                           const std::function<bool(int64_t done)>& progress) const {
  if (!mapped_) return;
  FileDescriptor file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return;  // only a matter of speed: the mapping still works
  ::posix_fadvise(file.fd, begin, end - begin, POSIX_FADV_SEQUENTIAL);
  std::vector<std::byte> buffer(size_t{8} << 20);
  for (int64_t at = begin; at < end;) {
    const auto want = std::min(buffer.size(), static_cast<size_t>(end - at));
    const ssize_t got = ::pread(file.fd, buffer.data(), want, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    at += got;
    if (!progress(at - begin)) return;
  }
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  if (mapped_) Forget(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace oxidized
