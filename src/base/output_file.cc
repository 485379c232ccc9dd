#include "base/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <mutex>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/file_in_use.h"
#include "base/log.h"
#include "base/printable.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSignWithin = 4096;  // bytes of a file's start

[[noreturn]] void CannotBeWritten(const fs::path& path, int reason) {
  Fail(ErrorKind::kBadFile, "{}: cannot be written: {}", path.string(), WriteErrorText(reason));
}

[[noreturn]] void RefuseUnlessTold(const fs::path& path, const std::string& found, const char* remedy) {
  throw Error(ErrorKind::kUsage,
              {.component = path.string(), .found = found, .remedies = {{Setting::kReplace, remedy}}});
}

bool Carries(const fs::path& file, std::string_view sign) {
  if (sign.empty()) return false;
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  char start[kSignWithin];
  const ssize_t got = ::read(fd, start, sizeof start);
  ::close(fd);
  return got > 0 && std::string_view(start, static_cast<size_t>(got)).find(sign) != std::string_view::npos;
}

// The file that would be replaced or made. Throws Error where the rule does not allow it.
fs::path TargetOf(const OutputName& name) {
  const fs::path& path = name.path;
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) CannotBeWritten(path, errno);
    return path;
  }
  fs::path target = path;
  if (S_ISLNK(status.st_mode)) {
    const bool there = ::stat(path.c_str(), &status) == 0;
    if (!there && errno != ENOENT) CannotBeWritten(path, errno);
    target = EndOfLinks(path);
    if (there && IsInUse({status.st_dev, status.st_ino}))
      Fail(ErrorKind::kUsage,
           "{}: leads to a file that this program reads, writes or runs: give it another name",
           path.string());
    if (!name.rule.replace)
      RefuseUnlessTold(path, "is a symbolic link to " + target.string(), "{} writes there");
    if (!there) return target;
  }
  if (!S_ISREG(status.st_mode))
    Fail(ErrorKind::kBadFile, "{}: not a regular file; the result is written beside its name and renamed",
         path.string());
  if (IsInUse({status.st_dev, status.st_ino}))
    Fail(ErrorKind::kUsage, "{}: is a file that this program reads, writes or runs: give it another name",
         path.string());
  if (name.rule.replace || status.st_size == 0) return target;  // an empty file holds nothing to lose
  if (name.rule.sign.empty()) RefuseUnlessTold(path, "is there already", "{} replaces it");
  if (!Carries(target, name.rule.sign))
    RefuseUnlessTold(path, "is there already, and is not such a file of this program", "{} replaces it");
  return target;
}

// What a partial file's name begins with; a long name is cut, so that it stays one.
std::string PartialStem(const fs::path& name) {
  constexpr size_t kLongest = 200;
  return name.filename().string().substr(0, kLongest) + ".partial-";
}

// A file that such a run may have left: whoever was killed at once left nothing in it.
bool MayBeOurs(const fs::path& partial, std::string_view sign) {
  struct stat status{};
  return ::lstat(partial.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         (status.st_size == 0 || Carries(partial, sign));
}

// Names that this process writes to now.
struct Writing {
  std::mutex mutex;
  std::set<fs::path> targets;
};
Writing& BeingWritten() {
  static auto* writing = new Writing;
  return *writing;
}

// Neither runs here nor is held by a run elsewhere (another machine, another container).
bool IsDead(const fs::path& partial, pid_t process) {
  if (process == ::getpid() || ::kill(process, 0) == 0 || errno != ESRCH) return false;
  const int fd = ::open(partial.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return false;
  const bool free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return free;
}

}  // namespace

fs::path EndOfLinks(fs::path path) {
  std::error_code none;
  constexpr int kMostLinks = 40;  // as Linux follows
  for (int i = 0; i < kMostLinks && fs::is_symlink(path, none); ++i)
    path = path.parent_path() / fs::read_symlink(path, none);
  return fs::weakly_canonical(fs::absolute(path, none), none);
}

std::string WriteErrorText(int reason) {
  if (reason == EFBIG) return "it would be larger than the limit on files allows (ulimit -f)";
  return std::strerror(reason);
}

fs::path PartialName(const fs::path& name) {
  return name.parent_path() / (PartialStem(name) + std::to_string(::getpid()));
}

void LockPartial(int fd) { ::flock(fd, LOCK_EX | LOCK_NB); }  // where the file system has locks

void RemoveLeftPartials(const fs::path& name, std::string_view sign, bool (*ours)(const fs::path& folder)) {
  const std::string stem = PartialStem(name);
  const fs::path folder = name.has_parent_path() ? name.parent_path() : fs::path(".");
  std::error_code error;
  std::vector<fs::path> left;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string file = entry->path().filename().string();
    if (!file.starts_with(stem)) continue;
    pid_t process = 0;
    const char* last = file.data() + file.size();
    const auto [stop, bad] = std::from_chars(file.data() + stem.size(), last, process);
    if (bad == std::errc() && stop == last && process > 0 && IsDead(entry->path(), process))
      left.push_back(entry->path());
  }
  for (const fs::path& partial : left) {
    const bool folder_there = fs::is_directory(fs::symlink_status(partial, error));
    if (folder_there ? ours == nullptr || !ours(partial) : !MayBeOurs(partial, sign)) {
      Log(LogLevel::kWarning,
          "{}: is called as what a killed run leaves, but does not look like it; it stays", Shown(partial));
      continue;
    }
    fs::remove_all(partial, error);
    Log(LogLevel::kWarning, "{}: a run that was killed left it; {}", Shown(partial),
        error ? "it cannot be removed: " + error.message() : "removed");
  }
}

OutputFile::OutputFile(const OutputName& name)
    : name_(name), target_(TargetOf(name)), partial_(PartialName(target_)), whole_(EndOfLinks(target_)) {
  {
    std::lock_guard lock(BeingWritten().mutex);
    if (!BeingWritten().targets.insert(whole_).second)
      Fail(ErrorKind::kUsage, "{}: this run is writing it already: give it another name", Shown(name_.path));
  }
  RemoveLeftPartials(target_, name_.rule.sign);
  ::unlink(partial_.c_str());  // of a process that had our number
  fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) {
    const int reason = errno;
    Leave();
    CannotBeWritten(name_.path, reason);
  }
  LockPartial(fd_);
  struct stat before{};
  if (::stat(target_.c_str(), &before) == 0) ::fchmod(fd_, before.st_mode & 07777);  // who may read it stays
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) {
    ::close(fd_);
    ::unlink(partial_.c_str());
  }
  Leave();
}

void OutputFile::Leave() {
  std::lock_guard lock(BeingWritten().mutex);
  BeingWritten().targets.erase(whole_);
}

void OutputFile::Failed(int reason) const { CannotBeWritten(name_.path, reason); }

void OutputFile::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) Failed(errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void OutputFile::Publish() {
  if (::fsync(fd_) != 0 && errno != EINVAL) Failed(errno);
  TargetOf(name_);  // what came there meanwhile is under the rule, too
  if (::rename(partial_.c_str(), target_.c_str()) != 0) Failed(errno);
  ::close(fd_);
  fd_ = -1;
}

void CheckOutput(const OutputName& name) { OutputFile file(name); }

void WriteOutput(const OutputName& name, std::string_view text) {
  OutputFile file(name);
  file.Write(text);
  file.Publish();
}

}  // namespace oxidized
