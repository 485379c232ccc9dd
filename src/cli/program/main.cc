// Entry point: one command, one exit code (docs/errors.md), one line for whatever goes wrong.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "cli/options/command.h"
#include "cli/terminal/bus_error.h"
#include "cli/terminal/terminal.h"

namespace {

constexpr int kOutputClosed = 128 + SIGPIPE;

}  // namespace

int main(int argc, char** argv) {
  using namespace oxidized;
  try {
    cli::KeepStandardStreams();
    cli::InstallSignalHandlers();
    cli::InstallBusErrorHandler();
    const auto action = cli::ParseCommandLine(argc, argv);
    return action ? (*action)() : 0;
  } catch (const Error& error) {
    Log(LogLevel::kError, "{}", error.what());
    return static_cast<int>(error.kind());
  } catch (const Interrupted&) {
    return 128 + cli::PendingSignal();
  } catch (const cli::OutputClosed&) {
    return kOutputClosed;
  } catch (const std::bad_alloc&) {
    Log(LogLevel::kError, "out of memory");
    return static_cast<int>(ErrorKind::kNoMemory);
  } catch (const std::filesystem::filesystem_error& error) {
    Log(LogLevel::kError, "{}: {}", error.path1().string(), error.code().message());
    return static_cast<int>(ErrorKind::kBadFile);
  } catch (const std::exception& error) {
    Log(LogLevel::kError, "internal error: {}", error.what());
    return static_cast<int>(ErrorKind::kInternal);
  }
}
