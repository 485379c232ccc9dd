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
#include "base/file_advice.h"
#include "base/interrupt.h"
#include "base/printable.h"

namespace oxidized {
namespace {

struct FileDescriptor {
  int fd;
  ~FileDescriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Reads what is missing of mapped pages into the page cache and maps it, by large pages where it can. False
// where that cannot be done: kernels before 5.14, other systems, or a failed read.
bool PopulateForReading([[maybe_unused]] std::byte* data, [[maybe_unused]] size_t bytes) {
#ifdef __linux__
  constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ: headers may be older than the kernel
  int result = 0;
  do {
    result = ::madvise(data, bytes, kPopulateRead);
  } while (result != 0 && errno == EINTR);
  return result == 0;
#else
  return false;
#endif
}

// What mincore writes for a page.
#ifdef __APPLE__
using PageFlags = char;
#else
using PageFlags = unsigned char;
#endif

int64_t PageBytes() { return static_cast<int64_t>(::sysconf(_SC_PAGESIZE)); }

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
    const std::string text = Shown(path);
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

MappedFile MappedFile::Open(const std::filesystem::path& path) {
  MappedFile result;
  result.path_ = path;
  // O_NONBLOCK: opening a named pipe must not wait for a writer; regular files ignore it.
  result.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (result.fd_ < 0) Fail(ErrorKind::kBadFile, "{}: {}", path.string(), std::strerror(errno));
  struct stat status{};
  if (::fstat(result.fd_, &status) != 0)
    Fail(ErrorKind::kBadFile, "{}: {}", path.string(), std::strerror(errno));
  if (!S_ISREG(status.st_mode)) Fail(ErrorKind::kBadFile, "{}: not a regular file", path.string());

  const size_t size = static_cast<size_t>(status.st_size);
#ifdef __APPLE__
  const timespec modified = status.st_mtimespec;
#else
  const timespec modified = status.st_mtim;
#endif
  result.modified_ns_ = int64_t{modified.tv_sec} * 1'000'000'000 + modified.tv_nsec;
  result.size_ = size;
  result.Map();
  return result;
}

MappedFile MappedFile::MapAgain() const {
  MappedFile result;
  result.path_ = path_;
  result.modified_ns_ = modified_ns_;
  result.size_ = size_;
  result.fd_ = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (result.fd_ < 0) Fail(ErrorKind::kBadFile, "{}: {}", path_.string(), std::strerror(errno));
  result.Map();
  return result;
}

void MappedFile::Map() {
  struct stat status{};
  if (::fstat(fd_, &status) == 0) in_use_ = FileInUse({status.st_dev, status.st_ino});
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd_, 0);
  if (data == MAP_FAILED && errno == ENOMEM)
    Fail(ErrorKind::kNoMemory, "{}: no address space for its {} bytes: raise the limit on memory (ulimit -v)",
         path_.string(), size_);
  if (data == MAP_FAILED)
    Fail(ErrorKind::kBadFile, "{}: cannot be mapped: {}", path_.string(), std::strerror(errno));
  // Where the file system has large folios, what is read by way of this mapping comes in pages of 2 MiB.
  AdviseHugePages(data, size_);
  data_ = static_cast<std::byte*>(data);
  Remember(data_, size_, path_);
  Register();
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(in_use_, other.in_use_);
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  std::swap(owned_, other.owned_);
  std::swap(registrations_, other.registrations_);
  return *this;
}

bool MappedFile::Maps(const std::byte* data, int64_t bytes) const {
  if (data < data_ || data + bytes > data_ + size_) return false;
  const int64_t begin = data - data_;
  return std::none_of(owned_.begin(), owned_.end(), [&](const FileRange& owned) {
    return owned.begin < begin + bytes && begin < owned.end;
  });
}

std::vector<FileRange> MappedFile::PagesOf(std::vector<FileRange> ranges) const {
  const int64_t page = PageBytes(), size = static_cast<int64_t>(size_);
  std::sort(ranges.begin(), ranges.end(),
            [](const FileRange& a, const FileRange& b) { return a.begin < b.begin; });
  std::vector<FileRange> pages;
  for (const FileRange& range : ranges) {
    if (range.begin >= range.end) continue;
    const int64_t begin = range.begin / page * page;
    const int64_t end = std::min(size, (range.end + page - 1) / page * page);
    if (!pages.empty() && begin <= pages.back().end) {
      pages.back().end = std::max(pages.back().end, end);
    } else {
      pages.push_back({begin, end});
    }
  }
  return pages;
}

void MappedFile::Own(const std::vector<FileRange>& ranges,
                     const std::function<void(int64_t done)>& progress) {
  constexpr int64_t kMostAtOnce = int64_t{16} << 20;
  OX_CHECK(owned_.empty());
  owned_ = PagesOf(ranges);
  AdviseSequential(fd_);
  int64_t before = 0;
  for (const FileRange& range : owned_) {
    const auto bytes = static_cast<size_t>(range.end - range.begin);
    std::byte* to = data_ + range.begin;
    if (::mmap(to, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED) {
      Fail(ErrorKind::kNoMemory,
           "{}: no memory for {} bytes of it: {}: raise the limit on memory (ulimit -v, ulimit -d)",
           path_.string(), bytes, std::strerror(errno));
    }
    AdviseHugePages(to, bytes);
    for (int64_t at = range.begin; at < range.end;) {
      ThrowIfInterrupted();
      const auto want = static_cast<size_t>(std::min(range.end - at, kMostAtOnce));
      const ssize_t got = ::pread(fd_, data_ + at, want, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) Fail(ErrorKind::kBadFile, "{}: read failed: {}", path_.string(), std::strerror(errno));
      if (got == 0) Fail(ErrorKind::kBadFile, "{}: became shorter while it was read", path_.string());
      at += got;
      progress(before + at - range.begin);
    }
    before += range.end - range.begin;
    ::mprotect(to, bytes, PROT_READ);
  }
  Register();
}

void MappedFile::LetOwnedBeWritten(bool writable) {
  for (const FileRange& range : owned_) {
    const auto bytes = static_cast<size_t>(range.end - range.begin);
    if (::mprotect(data_ + range.begin, bytes, PROT_READ | (writable ? PROT_WRITE : 0)) != 0)
      Fail(ErrorKind::kNoMemory,
           "{}: its pages cannot be made writable: {}: raise the limit on memory (ulimit -d)", path_.string(),
           std::strerror(errno));
  }
}

void MappedFile::Register() {
  registrations_.clear();
  const auto add = [this](MemoryClass memory_class, int64_t begin, int64_t end) {
    if (begin < end)
      registrations_.emplace_back(path_.filename().string(), memory_class, end - begin, data_ + begin);
  };
  int64_t at = 0;
  for (const FileRange& owned : owned_) {
    add(MemoryClass::kMapped, at, owned.begin);
    add(MemoryClass::kWeights, owned.begin, owned.end);
    at = owned.end;
  }
  add(MemoryClass::kMapped, at, static_cast<int64_t>(size_));
}

double MappedFile::ResidentShare(const std::vector<FileRange>& pages) const {
  const int64_t page = PageBytes();
  int64_t all = 0, there = 0;
  std::vector<PageFlags> resident;
  for (const FileRange& range : pages) {
    const int64_t bytes = range.end - range.begin;
    resident.resize(static_cast<size_t>((bytes + page - 1) / page));
    if (::mincore(data_ + range.begin, static_cast<size_t>(bytes), resident.data()) != 0) return 1.0;
    all += std::ssize(resident);
    there +=
        std::count_if(resident.begin(), resident.end(), [](PageFlags flags) { return (flags & 1) != 0; });
  }
  return all == 0 ? 1.0 : static_cast<double>(there) / static_cast<double>(all);
}

void MappedFile::ReadAhead(const std::vector<FileRange>& pages,
                           const std::function<bool(int64_t done)>& progress) const {
  constexpr int64_t kMostAtOnce = int64_t{16} << 20;
  FileDescriptor file{-1};  // from where pages cannot be had by way of the mapping
  std::vector<std::byte> buffer;
  int64_t before = 0;
  for (const FileRange& range : pages) {
    for (int64_t at = range.begin; at < range.end;) {
      const auto want = static_cast<size_t>(std::min(kMostAtOnce, range.end - at));
      if (file.fd < 0 && PopulateForReading(data_ + at, want)) {
        at += static_cast<int64_t>(want);
      } else {
        if (file.fd < 0) {
          // Opened once more: the advice is not meant for the mapping, whose faults go anywhere.
          file.fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
          if (file.fd < 0) return;  // only a matter of speed: the mapping still works
          AdviseSequential(file.fd);
          buffer.resize(static_cast<size_t>(kMostAtOnce));
        }
        const ssize_t got = ::pread(file.fd, buffer.data(), want, static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return;
        at += got;
      }
      if (!progress(before + at - range.begin)) return;
    }
    before += range.end - range.begin;
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    Forget(data_);
    ::munmap(data_, size_);
  }
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace oxidized
