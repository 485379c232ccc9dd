#include "hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "base/file_status.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace fs = std::filesystem;
namespace {

constexpr const char* kData = ".oxidized.incomplete";
constexpr const char* kRanges = ".oxidized-ranges.incomplete";  // "hf cache" clears both away
constexpr const char* kHuggingFace = ".incomplete";

[[noreturn]] void FailWith(const fs::path& path, int error) {
  Fail(error == ENOSPC || error == EDQUOT ? ErrorKind::kNoMemory : ErrorKind::kBadFile, "{}: {}",
       path.string(), std::strerror(error));
}

// The ranges beside `data`, if they speak of a file of this size that is there in full length.
RangeSet ReadRanges(const fs::path& data, const fs::path& ranges, int64_t size_bytes) {
  constexpr size_t kMost = 1 << 20;
  std::error_code error;
  if (static_cast<int64_t>(fs::file_size(data, error)) != size_bytes || error) return {};
  if (fs::file_size(ranges, error) > kMost || error || !fs::is_regular_file(ranges, error)) return {};
  const std::string text = ReadWholeFile(ranges, kMost);
  return RangeSet::Parse(text, size_bytes).value_or(RangeSet());
}

}  // namespace

PartialFile::PartialFile(const fs::path& blob, int64_t size_bytes)
    : data_(blob.string() + kData), ranges_(blob.string() + kRanges), size_bytes_(size_bytes) {
  done_ = ReadRanges(data_, ranges_, size_bytes);
  std::error_code error;
  const fs::path theirs = blob.string() + kHuggingFace;
  if (const auto size = fs::file_size(theirs, error);
      !error && fs::is_regular_file(fs::symlink_status(theirs, error))) {
    const auto prefix = static_cast<int64_t>(size);
    if (prefix <= size_bytes && prefix > done_.total_bytes()) {
      fs::remove(ranges_, error);
      fs::rename(theirs, data_, error);
      if (!error) {
        done_.Clear();
        done_.Add({0, prefix});
      }
    }
  }
  resumed_ = done_.total_bytes() > 0;
  fd_ = ::open(data_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) FailWith(data_, errno);
  try {
    Fallocate();
    SaveRanges();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

PartialFile::~PartialFile() { ::close(fd_); }

void PartialFile::Fallocate() {
  struct stat status{};
  if (::fstat(fd_, &status) != 0) FailWith(data_, errno);
  if (status.st_size != size_bytes_ && ::ftruncate(fd_, size_bytes_) != 0) FailWith(data_, errno);
#ifdef __linux__
  // A full disk shows now rather than after an hour; file systems without it are left to find out.
  int failed = 0;
  do {
    failed = size_bytes_ > 0 && ::fallocate(fd_, 0, 0, size_bytes_) != 0 ? errno : 0;
  } while (failed == EINTR);
  if (failed == ENOSPC || failed == EDQUOT) FailWith(data_, failed);
#endif
}

void PartialFile::Write(int64_t offset, std::span<const std::byte> bytes) {
  OX_CHECK(offset >= 0 && offset + static_cast<int64_t>(bytes.size()) <= size_bytes_);
  const int64_t begin = offset;
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) FailWith(data_, errno);
    offset += written;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  done_.Add({begin, offset});
}

void PartialFile::SaveRanges() {
  const fs::path temporary = ranges_.string() + ".tmp";
  std::ofstream(temporary, std::ios::binary) << done_.Text();
  std::error_code error;
  fs::rename(temporary, ranges_, error);
  if (error) FailWith(ranges_, error.value());
}

void PartialFile::Restart() {
  done_.Clear();
  resumed_ = false;
  SaveRanges();
}

void PartialFile::Remove() {
  std::error_code ignored;
  fs::remove(ranges_, ignored);
  fs::remove(data_, ignored);
}

void PartialFile::Publish(const fs::path& blob) {
  if (::fsync(fd_) != 0) FailWith(data_, errno);
  std::error_code error;
  fs::rename(data_, blob, error);
  if (error) FailWith(blob, error.value());
  fs::remove(ranges_, error);
}

int64_t PartialFile::AllocatedBytes(const fs::path& blob) {
  struct stat status{};
  return ::stat((blob.string() + kData).c_str(), &status) == 0 ? static_cast<int64_t>(status.st_blocks) * 512
                                                               : 0;
}

}  // namespace oxidized::hub
