#include "cli/terminal/terminal.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/output_file.h"

namespace oxidized::cli {
namespace {

volatile std::sig_atomic_t pending_signal = 0;
volatile std::sig_atomic_t keep_running = 0;

pthread_t main_thread;

void OnSignal(int number) {
  if (ForwardSignal(number)) return;
  const bool may_repeat = keep_running != 0 && (number == SIGINT || pending_signal == SIGINT);
  if (pending_signal != 0 && !may_repeat) _exit(128 + number);
  if (pending_signal != SIGTERM && pending_signal != SIGHUP) pending_signal = number;
}

termios loud_input;  // the mode to go back to while a QuietInput lives

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && (errno == EPIPE || errno == EBADF)) throw OutputClosed{};
    if (written < 0) {
      const int reason = errno;
      ThrowIfInterrupted();  // a terminal that hung up
      throw OutputFailed(ErrorKind::kBadFile, fmt::format("standard output: {}", WriteErrorText(reason)));
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
}

// Of the terminal that shows stderr; if it does not say: as many as one likes.
int Columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : std::numeric_limits<int>::max();
}

}  // namespace

bool AnswerIsOnTerminal() {
  static const bool terminal = isatty(STDOUT_FILENO) != 0;
  return terminal;
}

void WriteAnswer(std::string_view text) {
  WriteAll(STDOUT_FILENO, AnswerIsOnTerminal() ? NeutralizeControls(text) : std::string(text));
}

bool CapableTerminal() {
  const char* term = std::getenv("TERM");
  if (term == nullptr || *term == '\0' || std::strcmp(term, "dumb") == 0) return false;
  // The line editor's own library has it; 0: there is a list of terminals, and this one is not in it.
  using TGetEnt = int (*)(char*, const char*);
  static const auto entry = reinterpret_cast<TGetEnt>(dlsym(RTLD_DEFAULT, "tgetent"));
  static const bool known = entry == nullptr || entry(nullptr, term) != 0;
  return known;
}

SideStream::SideStream(bool color)
    : terminal_(isatty(STDERR_FILENO) != 0),
      capable_(terminal_ && CapableTerminal()),
      color_(capable_ && color) {}

void SideStream::ClearStatus() {
  if (status_shown_) std::fputs("\r\033[K", stderr);
  status_shown_ = false;
}

void SideStream::Write(std::string_view text, bool dim) {
  ClearStatus();
  const std::string shown = terminal_ ? NeutralizeControls(text) : std::string(text);
  if (shown.empty()) return;
  std::fprintf(stderr, dim && color_ ? "\033[2m%s\033[0m" : "%s", shown.c_str());
  std::fflush(stderr);
  line_open_ = shown.back() != '\n';
}

void SideStream::EndLine() {
  ClearStatus();
  if (line_open_) std::fputc('\n', stderr);
  line_open_ = false;
}

void SideStream::Line(std::string_view text) { Put(text, false); }

void SideStream::Remark(std::string_view text) { Put(text, true); }

void SideStream::Put(std::string_view text, bool dim) {
  EndLine();
  const std::string safe = NeutralizeControls(text);
  const std::string shown = terminal_ ? WrapColumns(safe, Columns()) : safe;
  std::fprintf(stderr, dim && color_ ? "\033[2m%s\033[0m\n" : "%s\n", shown.c_str());
}

void SideStream::Status(std::string_view text) {
  if (!capable_ || line_open_) return;
  ClearStatus();
  if (text.empty()) {
    std::fflush(stderr);
    return;
  }
  // A line that wraps could not be taken back; in the last column some terminals wrap already.
  const std::string shown = FitColumns(EscapeUnprintable(text), Columns() - 1);
  std::fprintf(stderr, color_ ? "\033[2m%s\033[0m" : "%s", shown.c_str());
  std::fflush(stderr);
  status_shown_ = true;
}

void SideStream::AnswerWritten(std::string_view text) {
  if (terminal_ && AnswerIsOnTerminal() && !text.empty()) line_open_ = text.back() != '\n';
}

void KeepStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // Opened the wrong way round: reading and writing fail as they would have.
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return;
  }
}

bool ForwardSignal(int number) {
  if (pthread_equal(pthread_self(), main_thread) != 0) return false;
  pthread_kill(main_thread, number);
  return true;
}

void InstallSignalHandlers() {
  main_thread = pthread_self();
  struct sigaction action{};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction hangup{};
  // Who began this under nohup does not want to hear of it.
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
    sigaction(SIGHUP, &action, nullptr);
  SetInterruptCheck([] { return pending_signal != 0; });
  std::signal(SIGPIPE, SIG_IGN);  // writes fail with EPIPE, which WriteAnswer reports
  std::signal(SIGXFSZ, SIG_IGN);  // and with EFBIG beyond `ulimit -f`
}

int PendingSignal() { return pending_signal; }

void KeepRunningOnInterrupt() { keep_running = 1; }

void ClearInterrupt() {
  if (pending_signal == SIGINT) pending_signal = 0;
}

QuietInput::QuietInput(bool terminal, bool raw) {
  if (!terminal || tcgetattr(STDIN_FILENO, &loud_input) != 0) return;
  termios quiet = loud_input;
  quiet.c_lflag &= ~static_cast<tcflag_t>(raw ? ECHO | ICANON : ECHO);
  changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &quiet) == 0;
}

QuietInput::~QuietInput() {
  if (changed_) tcsetattr(STDIN_FILENO, TCSANOW, &loud_input);
}

std::string LocalMinute(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm local = {};
  localtime_r(&time, &local);
  return fmt::format("{:%Y-%m-%d %H:%M}", local);
}

}  // namespace oxidized::cli
