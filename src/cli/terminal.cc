#include "cli/terminal.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/mapped_file.h"

namespace oxidized::cli {
namespace {

volatile std::sig_atomic_t pending_signal = 0;

void OnSignal(int number) {
  if (pending_signal != 0) _exit(128 + number);
  pending_signal = number;
}

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw OutputClosed{};
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

std::string NeutralizeControls(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (c == 0x7F) {
      out += "\u2421";
    } else if (c < 0x20 && c != '\n' && c != '\t') {  // U+2400.. are pictures of the controls
      out += {static_cast<char>(0xE2), static_cast<char>(0x90), static_cast<char>(0x80 + c)};
    } else if (c == 0xC2 && next >= 0x80 && next < 0xA0) {  // U+0080..U+009F: C1 controls
      out += "\uFFFD";
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

void WriteAnswer(std::string_view text) {
  static const bool terminal = isatty(STDOUT_FILENO) != 0;
  WriteAll(STDOUT_FILENO, terminal ? NeutralizeControls(text) : std::string(text));
}

SideStream::SideStream(bool color) : terminal_(isatty(STDERR_FILENO) != 0) {
  const char* term = std::getenv("TERM");
  dim_ = color && terminal_ && term != nullptr && std::strcmp(term, "dumb") != 0;
}

void SideStream::ClearStatus() {
  if (status_shown_) std::fputs("\r\033[K", stderr);
  status_shown_ = false;
}

void SideStream::Write(std::string_view text) {
  ClearStatus();
  const std::string shown = terminal_ ? NeutralizeControls(text) : std::string(text);
  if (shown.empty()) return;
  std::fprintf(stderr, dim_ ? "\033[2m%s\033[0m" : "%s", shown.c_str());
  std::fflush(stderr);
  line_open_ = shown.back() != '\n';
}

void SideStream::Line(std::string_view text) {
  ClearStatus();
  std::fprintf(stderr, line_open_ ? "\n%.*s\n" : "%.*s\n", static_cast<int>(text.size()), text.data());
  line_open_ = false;
}

void SideStream::Status(std::string_view text) {
  const char* term = std::getenv("TERM");
  if (!terminal_ || term == nullptr || std::strcmp(term, "dumb") == 0) return;
  std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(text.size()), text.data());
  std::fflush(stderr);
  status_shown_ = true;
}

void InstallSignalHandlers() {
  struct sigaction action{};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // writes fail with EPIPE, which WriteAnswer reports
}

int PendingSignal() { return pending_signal; }

std::string ReadInput(const std::string& path) {
  if (path != "-") {
    const MappedFile file = MappedFile::Open(path, MappedFile::Mode::kRead);
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  }
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR && pending_signal == 0) continue;
    if (got < 0) Fail(ErrorKind::kBadFile, "standard input: {}", std::strerror(errno));
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace oxidized::cli
