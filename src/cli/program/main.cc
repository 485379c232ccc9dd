// Entry point: one command, one exit code (docs/errors.md), one line for whatever goes wrong.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>
#include <string_view>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "cli/options/command.h"
#include "cli/terminal/bus_error.h"
#include "cli/terminal/terminal.h"
#include "cli/terminal/wording.h"

namespace {

constexpr int kOutputClosed = 128 + SIGPIPE;
constexpr int kNoMemory = static_cast<int>(oxidized::ErrorKind::kNoMemory);

// Where memory itself may be what is missing: no allocation, no buffer.
int EndWith(std::string_view line) {
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return kNoMemory;  // nobody is left to be told
  return kNoMemory;
}

// Of this thread and of those that will be started: a limit this low ends in a SIGSEGV somewhere.
bool StackIsTooSmall() {
  constexpr rlim_t kLeastBytes = 256 << 10;
  rlimit stack{};
  return ::getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur < kLeastBytes;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace oxidized;
  if (StackIsTooSmall())
    return EndWith(
        "oxidized_gpt_oss: error: the limit on the stack is below 256 KiB: raise it (ulimit -s)\n");
  try {
    cli::KeepStandardStreams();
    cli::ShowLog();
    cli::InstallSignalHandlers();
    cli::InstallBusErrorHandler();
    const auto action = cli::ParseCommandLine(argc, argv);
    return action ? (*action)() : 0;
  } catch (const Error& error) {
    Log(LogLevel::kError, "{}", cli::Told(error));
    return static_cast<int>(error.kind());
  } catch (const Interrupted&) {
    return 128 + cli::PendingSignal();
  } catch (const cli::OutputClosed&) {
    return kOutputClosed;
  } catch (const std::bad_alloc&) {
    return EndWith(
        "oxidized_gpt_oss: error: out of memory: raise the limit on it (ulimit -v), or ask for less\n");
  } catch (const std::filesystem::filesystem_error& error) {
    Log(LogLevel::kError, "{}: {}", error.path1().string(), error.code().message());
    return static_cast<int>(ErrorKind::kBadFile);
  } catch (const std::exception& error) {
    Log(LogLevel::kError, "internal error: {}", error.what());
    return static_cast<int>(ErrorKind::kInternal);
  }
}
