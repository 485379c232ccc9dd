// `verify PATH`: whether a checkpoint, or a file of packed dense weights, is sound, every value of it.
#include "audit/verify.h"

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "base/printable.h"
#include "cli/options/command.h"
#include "cli/options/default_model.h"
#include "cli/terminal/download_report.h"
#include "cli/terminal/progress_line.h"
#include "cli/terminal/terminal.h"

namespace oxidized::cli {
namespace {

struct VerifyCommandOptions {
  VerifyOptions verify;
  bool json = false;
};

int Verify(VerifyCommandOptions o) {
  VerifyOptions& options = o.verify;
  options.path = ResolveModelPath(OrDefaultModel(options.path), ReportDownloads());
  options.threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 2u, 16u));
  VerifyReport report;
  {
    SideStream side(true);
    const ProgressLine line(Shown(options.path));
    options.progress = [&](int64_t done, int64_t total) { side.Status(line.At(done, total)); };
    report = VerifyCheckpoint(options);
    side.Status("");
  }
  WriteAnswer(o.json ? VerifyJson(report) : VerifyText(report));
  return report.sound() ? 0 : static_cast<int>(ErrorKind::kBadFile);
}

}  // namespace

Action AddVerify(Command& command) {
  auto o = std::make_shared<VerifyCommandOptions>();
  command.AddPositional(
      "path", Path(o->verify.path),
      "Model folder or file, hf:org/name, or a file of packed dense weights [the small model]");
  command.AddFlag("--json", o->json, "The report as JSON");
  return [o] { return Verify(*o); };
}

}  // namespace oxidized::cli
