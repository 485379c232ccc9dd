// `inspect PATH`: what a checkpoint is, without running it.
#include "checkpoint/inspect.h"

#include "cli/command.h"
#include "cli/terminal.h"

namespace oxidized::cli {
namespace {

struct InspectOptions {
  std::string path;
  bool json = false;
};

int Inspect(const InspectOptions& options) {
  const std::filesystem::path path =
      options.path.empty() ? DefaultModelPath() : std::filesystem::path(options.path);
  const Checkpoint checkpoint = OpenCheckpoint(path);
  WriteAnswer(options.json ? InspectJson(checkpoint) : InspectText(checkpoint));
  return 0;
}

}  // namespace

Action AddInspect(Command& command) {
  auto options = std::make_shared<InspectOptions>();
  command.AddPositional("path", Text(options->path, "PATH"), "Model folder or file [the small model]");
  command.AddFlag("--json", options->json, "As JSON");
  return [options] { return Inspect(*options); };
}

}  // namespace oxidized::cli
