// `--version`, and with --verbose what this build and machine are.
#include <thread>

#include "cli/options.h"
#include "cli/terminal.h"

namespace oxidized::cli {

int Run(const VersionOptions& o) {
  WriteAnswer("oxidized_gpt_oss " OXIDIZED_VERSION "\n");
  if (o.verbose) {
    WriteAnswer(fmt::format("compiler: {}\nprocessors: {}\nexecutors: reference\n", __VERSION__,
                            std::thread::hardware_concurrency()));
  }
  return 0;
}

}  // namespace oxidized::cli
