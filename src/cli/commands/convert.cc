// `convert IN OUT`: a checkpoint in another format, or a file of its dense weights in 12 bits.
#include "rewrite/convert.h"

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/printable.h"
#include "checkpoint/packed_file.h"
#include "cli/options/command.h"
#include "cli/options/default_model.h"
#include "cli/options/format_options.h"
#include "cli/terminal/download_report.h"
#include "cli/terminal/progress_line.h"
#include "cli/terminal/terminal.h"
#include "rewrite/packed_file_writer.h"

namespace oxidized::cli {
namespace {

struct ConvertCommandOptions {
  ConvertOptions convert;
  std::optional<CheckpointFormat> format;
  bool packed_dense = false;
  DType quantize = DType::kBF16;  // kGgmlMxfp4: asked for
};

// One line for the phase at work.
class PhaseLine {
 public:
  explicit PhaseLine(SideStream& side) : side_(side) {}
  void Show(const std::string& phase, int64_t done, int64_t total) {
    if (now_ != phase) line_.emplace(now_ = phase);
    side_.Status(line_->At(done, total));
  }
  auto Writing(const std::string& out) {
    return [this, out](WritePhase phase, int64_t done, int64_t total) {
      Show((phase == WritePhase::kReadingBack ? "reading back " : "writing ") + out, done, total);
    };
  }

 private:
  SideStream& side_;
  std::optional<ProgressLine> line_;
  std::string now_;
};

int ConvertPacked(const ConvertOptions& options) {
  const std::string out = Shown(options.out);
  for (const char* taken : {".gguf", ".safetensors"}) {
    if (options.out.extension() == taken)
      Fail(ErrorKind::kUsage, "{}: named as a file of a model, and --format {} writes none", out,
           kPackedFileFormat);
  }
  SideStream side(true);
  PhaseLine line(side);
  const auto show = [&](const std::string& phase) {
    return [&line, phase](int64_t done, int64_t total) {
      line.Show(phase, done, total);
      ThrowIfInterrupted();
    };
  };
  const PackedFileWritten written =
      WritePackedFile({.in = options.in,
                       .out = options.out,
                       .threads = options.threads,
                       .packing_progress = show("packing dense weights of " + Shown(options.in)),
                       .digest_progress = show("looking at values of " + Shown(options.in)),
                       .progress = line.Writing(out)});
  side.Status("");
  side.Line(fmt::format("{}: {}, read", Shown(options.in), written.source_format));
  if (written.left > 0)
    side.Line(fmt::format("{} that would not shrink by a tenth: left out, and read from the model",
                          Counted(written.left, "matrix")));
  side.Line(fmt::format("{}: {}, {} bytes for {}, written and read back", out,
                        Counted(written.matrices, "dense matrix"), written.file_bytes, written.stored_bytes));
  return 0;
}

int Convert(ConvertCommandOptions o) {
  ConvertOptions& options = o.convert;
  options.in = ResolveModelPath(OrDefaultModel(options.in), ReportDownloads());
  options.threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 16u));
  if (o.packed_dense) return ConvertPacked(options);
  options.format = FormatOf(o.format, options.out);
  options.quantize_experts = o.quantize == DType::kGgmlMxfp4;
  SideStream side(true);
  const std::string out = Shown(options.out);
  PhaseLine line(side);
  options.scan_progress = [&](int64_t done, int64_t total) {
    line.Show("looking at values of " + Shown(options.in), done, total);
  };
  options.progress = line.Writing(out);
  const ConvertReport report = ConvertCheckpoint(options);
  side.Status("");
  for (const std::string& warning : report.warnings) Log(LogLevel::kWarning, "{}", warning);
  side.Line(fmt::format("{}: {}, read", Shown(options.in), report.source_format));
  for (const std::string& note : report.notes) side.Line(note);
  side.Line(fmt::format("{}: {} bytes of tensors, written and read back", out, report.written.tensor_bytes));
  return 0;
}

}  // namespace

Action AddConvert(Command& command) {
  auto o = std::make_shared<ConvertCommandOptions>();
  command.AddPositional("in", Path(o->convert.in), "Model folder or file, or hf:org/name").Required();
  command.AddPositional("out", Path(o->convert.out), "Folder to make; for gguf and packed-dense the file")
      .Required();
  AddFormatOptions(command, o->format, o->convert.types, &o->packed_dense);
  command.Add("--quantize-experts", Choice(o->quantize, {{"mxfp4", DType::kGgmlMxfp4}}),
              "Allow experts of another type to be rounded to it");
  command.AddRules({{{"--dense-type", "--expert-type", "--quantize-experts"},
                     OptionRule::Kind::kUselessWith,
                     {"--format"},
                     "packed-dense has one form",
                     [o] { return o->packed_dense; }}});
  return [o] { return Convert(*o); };
}

}  // namespace oxidized::cli
