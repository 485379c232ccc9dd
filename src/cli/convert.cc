// `convert IN OUT`: a checkpoint in another format.
#include "checkpoint/convert.h"

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "cli/command.h"
#include "cli/download_report.h"
#include "cli/format_options.h"
#include "cli/progress_line.h"
#include "cli/terminal.h"

namespace oxidized::cli {
namespace {

struct ConvertCommandOptions {
  ConvertOptions convert;
  std::optional<CheckpointFormat> format;
  DType quantize = DType::kBF16;  // kGgmlMxfp4: asked for
};

int Convert(ConvertCommandOptions o) {
  ConvertOptions& options = o.convert;
  options.in = ResolveModelPath(options.in, ReportDownloads());
  options.format = FormatOf(o.format, options.out);
  options.quantize_experts = o.quantize == DType::kGgmlMxfp4;
  options.threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 16u));
  SideStream side(true);
  const std::string out = options.out.string();
  std::optional<ProgressLine> line;  // of the phase below
  std::string now;
  const auto show = [&](const std::string& phase, int64_t done, int64_t total) {
    if (now != phase) line.emplace(now = phase);
    side.Status(line->At(done, total));
  };
  options.scan_progress = [&](int64_t done, int64_t total) {
    show("looking at values of " + options.in.string(), done, total);
  };
  options.progress = [&](WritePhase phase, int64_t done, int64_t total) {
    show((phase == WritePhase::kReadingBack ? "reading back " : "writing ") + out, done, total);
  };
  const ConvertReport report = ConvertCheckpoint(options);
  side.Status("");
  for (const std::string& warning : report.warnings) Log(LogLevel::kWarning, "{}", warning);
  side.Line(fmt::format("{}: {}, read", options.in.string(), report.source_format));
  for (const std::string& note : report.notes) side.Line(note);
  side.Line(fmt::format("{}: {} bytes of tensors, written and read back", out, report.written.tensor_bytes));
  return 0;
}

}  // namespace

Action AddConvert(Command& command) {
  auto o = std::make_shared<ConvertCommandOptions>();
  command.AddPositional("in", Path(o->convert.in), "Model folder or file, or hf:org/name").Required();
  command.AddPositional("out", Path(o->convert.out), "Folder to make; for gguf the file").Required();
  AddFormatOptions(command, o->format, o->convert.types);
  command.Add("--quantize-experts", Choice(o->quantize, {{"mxfp4", DType::kGgmlMxfp4}}),
              "Allow experts of another type to be rounded to it");
  return [o] { return Convert(*o); };
}

}  // namespace oxidized::cli
