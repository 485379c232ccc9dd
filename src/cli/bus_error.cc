#include "cli/bus_error.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/mapped_file.h"

namespace oxidized::cli {
namespace {

void Say(const char* text) {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // nobody is left to be told
}

// Only what is allowed in a signal handler: no allocation, no lock, no stdio.
void OnBusError(int number, siginfo_t* info, void*) {
  const char* file = MappedFile::PathAt(info->si_addr);
  if (file == nullptr) {  // not ours to explain
    std::signal(number, SIG_DFL);
    ::raise(number);
    return;
  }
  static std::atomic_flag said = ATOMIC_FLAG_INIT;
  while (said.test_and_set()) ::pause();  // threads fault together; the first one tells and ends the process
  Say("\noxidized_gpt_oss: error: ");
  Say(file);
  Say(": a part of the mapped model could not be read: the file was truncated, or its disk failed\n");
  ::_exit(static_cast<int>(ErrorKind::kBadFile));
}

}  // namespace

void InstallBusErrorHandler() {
  struct sigaction action{};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace oxidized::cli
