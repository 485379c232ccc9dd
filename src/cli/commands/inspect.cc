// `inspect PATH`: what a checkpoint is, without running it.
#include "audit/inspect.h"

#include "cli/options/command.h"
#include "cli/options/default_model.h"
#include "cli/terminal/download_report.h"
#include "cli/terminal/terminal.h"

namespace oxidized::cli {
namespace {

struct InspectOptions {
  std::filesystem::path path;
  bool json = false;
};

int Inspect(const InspectOptions& options) {
  const Checkpoint checkpoint = OpenCheckpoint(
      ResolveModelPath(OrDefaultModel(options.path), ReportDownloads()), {.metadata_only = true});
  WriteAnswer(options.json ? InspectJson(checkpoint) : InspectText(checkpoint));
  return 0;
}

}  // namespace

Action AddInspect(Command& command) {
  auto options = std::make_shared<InspectOptions>();
  command.AddPositional("path", Path(options->path),
                        "Model folder or file, or hf:org/name [the small model]");
  command.AddFlag("--json", options->json, "As JSON");
  return [options] { return Inspect(*options); };
}

}  // namespace oxidized::cli
