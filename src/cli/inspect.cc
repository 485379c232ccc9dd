// `inspect PATH`: what a checkpoint is, without running it.
#include "checkpoint/inspect.h"

#include "cli/options.h"
#include "cli/terminal.h"

namespace oxidized::cli {

int Run(const InspectOptions& options) {
  const std::filesystem::path path =
      options.path.empty() ? DefaultModelPath() : std::filesystem::path(options.path);
  const Checkpoint checkpoint = OpenCheckpoint(path);
  WriteAnswer(options.json ? InspectJson(checkpoint) : InspectText(checkpoint));
  return 0;
}

}  // namespace oxidized::cli
