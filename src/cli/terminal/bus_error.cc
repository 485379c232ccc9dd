#include "cli/terminal/bus_error.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/mapped_file.h"

namespace oxidized::cli {
namespace {

std::atomic_flag reported;
// On a terminal the line may have to end an unfinished one of the answer.
const char* line_start = "";

// One write, so that no other thread's output comes between.
class Line {
 public:
  Line& operator<<(const char* text) {
    const size_t room = sizeof(text_) - size_, length = std::strlen(text);
    std::memcpy(text_ + size_, text, length < room ? length : room);
    size_ += length < room ? length : room;
    return *this;
  }
  void Write() const {
    if (::write(STDERR_FILENO, text_, size_) < 0) return;  // nobody is left to be told
  }

 private:
  char text_[1024];
  size_t size_ = 0;
};

// Only what is allowed in a signal handler: no allocation, no lock, no stdio.
void OnBusError(int number, siginfo_t* info, void*) {
  const char* file = MappedFile::PathAt(info->si_addr);
  if (file == nullptr) {  // not ours to explain
    std::signal(number, SIG_DFL);
    ::raise(number);
    return;
  }
  // The threads of a team meet the missing pages together: the first one speaks, and ends all of them.
  while (reported.test_and_set()) ::pause();
  Line line;
  line << line_start << "oxidized_gpt_oss: error: " << file
       << ": a part of the mapped model could not be read: the file was truncated, or its disk failed\n";
  line.Write();
  ::_exit(static_cast<int>(ErrorKind::kBadFile));
}

}  // namespace

void InstallBusErrorHandler() {
  if (::isatty(STDERR_FILENO) == 1) line_start = "\n";
  struct sigaction action{};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace oxidized::cli
