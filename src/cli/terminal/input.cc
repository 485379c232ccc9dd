#include "cli/terminal/input.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/mapped_file.h"
#include "base/text_input.h"

namespace oxidized::cli {
namespace {

// Far beyond any prompt: a context of 131,072 tokens is below 17 MiB of text. The bound is for /dev/zero.
constexpr size_t kMaxInputBytes = size_t{256} << 20;
constexpr const char* kStandardInput = "standard input";

// Whether something can be read, or the end is reached, within this time at least. Throws Interrupted.
bool WaitFor(int fd, std::chrono::milliseconds time) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kSignalPatience(100);  // a signal just before the wait is seen after it
  for (const auto until = Clock::now() + time;;) {
    ThrowIfInterrupted();
    pollfd waited{fd, POLLIN, 0};
    if (::poll(&waited, 1, static_cast<int>(std::min(time, kSignalPatience).count())) > 0) return true;
    if (Clock::now() >= until) return false;
  }
}

// Appends what comes next; false: the end.
bool ReadSome(int fd, const std::string& name, TextDecoder& decoder, std::string& text) {
  while (true) {
    if (!WaitFor(fd, std::chrono::hours(1))) continue;
    char buffer[1 << 16];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) Fail(ErrorKind::kBadFile, "{}: {}", name, std::strerror(errno));
    if (got == 0) return false;
    decoder.Push({buffer, static_cast<size_t>(got)}, text);
    return true;
  }
}

std::string ReadAll(int fd, const std::string& name) {
  TextDecoder decoder(name);
  std::string text;
  while (ReadSome(fd, name, decoder, text)) {
    if (text.size() > kMaxInputBytes)
      Fail(ErrorKind::kBadFile, "{}: more than {} MiB", name, kMaxInputBytes >> 20);
  }
  decoder.Finish(text);
  return text;
}

}  // namespace

int DescriptorOf(const std::string& path) {
  if (path == "/dev/stdin") return STDIN_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    int fd = -1;
    const char* end = path.data() + path.size();
    if (!path.starts_with(folder)) continue;
    const auto [stop, error] = std::from_chars(path.data() + folder.size(), end, fd);
    if (error == std::errc() && stop == end && fd >= 0) return fd;
  }
  return -1;
}

std::string ReadInput(const std::string& path) {
  if (path == "-") return ReadAll(STDIN_FILENO, kStandardInput);
  struct stat status{};
  if (const int fd = DescriptorOf(path);
      fd >= 0 && ::fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
    return ReadAll(fd, path);
  MappedFile file = MappedFile::Open(path);
  file.Own({{0, std::ssize(file.bytes())}});
  return DecodeText({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, path);
}

PipedInput ReadPiped(std::chrono::milliseconds patience) {
  struct stat status{};
  if (::fstat(STDIN_FILENO, &status) != 0) return {};
  const bool pipe = S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode);
  if (!pipe && !S_ISREG(status.st_mode)) return {};
  if (pipe && !WaitFor(STDIN_FILENO, patience)) return {.text = "", .silent = true};
  return {.text = ReadAll(STDIN_FILENO, kStandardInput), .silent = false};
}

bool ReadLine(std::string& line) {
  static TextDecoder decoder(kStandardInput);
  static std::string buffer;
  const auto end_line = [&line] {
    if (line.ends_with('\r')) line.pop_back();
    if (line.starts_with(kUtf8Mark)) line.erase(0, kUtf8Mark.size());  // of files that were joined
    return true;
  };
  size_t searched = 0;
  while (true) {
    if (const size_t end = buffer.find('\n', searched); end != std::string::npos) {
      line.assign(buffer, 0, end);
      buffer.erase(0, end + 1);
      return end_line();
    }
    searched = buffer.size();
    if (buffer.size() > kMaxInputBytes)
      Fail(ErrorKind::kBadFile, "{}: a line of more than {} MiB", kStandardInput, kMaxInputBytes >> 20);
    if (ReadSome(STDIN_FILENO, kStandardInput, decoder, buffer)) continue;
    decoder.Finish(buffer);
    if (buffer.empty()) return false;
    line = std::exchange(buffer, {});
    return end_line();
  }
}

}  // namespace oxidized::cli
