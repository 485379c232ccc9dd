#include "cli/commands/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace oxidized::cli {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void FailWith(const fs::path& path, int reason) {
  Fail(ErrorKind::kBadFile, "{}: cannot be written: {}", path.string(), std::strerror(reason));
}

// A new file beside `path`, of this name.
struct Beside {
  std::string name;
  int fd;
};
Beside CreateBeside(const fs::path& path) {
  Beside file{path.string() + ".XXXXXX", -1};
  file.fd = ::mkostemp(file.name.data(), O_CLOEXEC);
  if (file.fd < 0) FailWith(path, errno);
  return file;
}

// The only sure way to know that a file can be made is to make one.
void CheckReplaceable(const fs::path& name) {
  const Beside file = CreateBeside(ReplacedFile(name));
  ::close(file.fd);
  ::unlink(file.name.c_str());
}

void CheckWritable(const fs::path& path) {
  std::error_code none;
  if (fs::is_directory(path, none)) FailWith(path, EISDIR);
  if (fs::exists(path, none)) {  // not opened: a pipe would wait for its reader
    if (::access(path.c_str(), W_OK) != 0) FailWith(path, errno);
    return;
  }
  if (fs::is_symlink(path, none)) return;  // to what is not there yet: seen when it is opened
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) FailWith(path, errno);
  ::close(fd);
  ::unlink(path.c_str());
}

// Where the bytes would go: the end of all links, which need not be there yet.
fs::path EndOfLinks(fs::path path) {
  std::error_code none;
  constexpr int kMostLinks = 40;  // as Linux follows
  for (int i = 0; i < kMostLinks && fs::is_symlink(path, none); ++i)
    path = path.parent_path() / fs::read_symlink(path, none);
  return fs::weakly_canonical(fs::absolute(path, none), none);
}

bool SameFile(const fs::path& a, const fs::path& b) {
  std::error_code none;
  return fs::equivalent(a, b, none) || EndOfLinks(a) == EndOfLinks(b);
}

bool Overwrites(const fs::path& output, const fs::path& input) {
  std::error_code none;
  if (!fs::is_regular_file(output, none)) return false;  // new, or a device
  if (fs::is_regular_file(input, none)) return SameFile(output, input);
  return fs::is_directory(input, none) && fs::equivalent(EndOfLinks(output).parent_path(), input, none);
}

}  // namespace

void CheckOutputs(std::span<const OutputFile> files, std::span<const InputFile> inputs) {
  for (size_t i = 0; i < files.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (SameFile(files[i].path, files[j].path))
        Fail(ErrorKind::kUsage, "{} and {} name the same file, {}: give each its own", files[j].option,
             files[i].option, files[i].path.string());
    }
  }
  for (const OutputFile& file : files) {
    for (const InputFile& input : inputs) {
      if (Overwrites(file.path, input.path))
        Fail(ErrorKind::kUsage, "{} {} would overwrite what is read, {} {}: give it another name",
             file.option, file.path.string(), input.option, input.path.string());
    }
    try {
      (file.kind == OutputKind::kReplaced ? CheckReplaceable : CheckWritable)(file.path);
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("{}: {}", file.option, error.what()));
    }
  }
}

fs::path ReplacedFile(const fs::path& name) {
  std::error_code error;
  const auto status = fs::status(name, error);
  if (!fs::exists(status)) return name;
  if (!fs::is_regular_file(status)) {
    Fail(ErrorKind::kBadFile, "{}: not a regular file; the result is written beside its name and renamed",
         name.string());
  }
  return fs::canonical(name, error);
}

void ReplaceFile(const fs::path& name, std::string_view text) {
  const fs::path path = ReplacedFile(name);
  const Beside file = CreateBeside(path);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  bool good = ::fchmod(file.fd, 0666 & ~mask) == 0;
  while (good && !text.empty()) {
    const ssize_t written = ::write(file.fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    good = written >= 0;
    if (good) text.remove_prefix(static_cast<size_t>(written));
  }
  good = good && ::fsync(file.fd) == 0;
  const int error = errno;
  ::close(file.fd);
  if (good && ::rename(file.name.c_str(), path.c_str()) == 0) return;
  const int reason = good ? errno : error;
  ::unlink(file.name.c_str());
  FailWith(path, reason);
}

}  // namespace oxidized::cli
