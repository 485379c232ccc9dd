// `synth`: a checkpoint of random weights, for measurements and tests without the published files.
#include "rewrite/synth.h"

#include "base/error.h"
#include "cli/options/command.h"
#include "cli/options/format_options.h"
#include "cli/terminal/progress_line.h"
#include "cli/terminal/terminal.h"

namespace oxidized::cli {
namespace {

struct SynthCommandOptions {
  SynthOptions synth;
  std::optional<CheckpointFormat> format;
  int32_t layers = 0;
};

const std::map<std::string, std::string> kPresets = {
    {"gpt-oss-20b", "gpt-oss-20b"}, {"gpt-oss-120b", "gpt-oss-120b"}, {"small", "small"}, {"tiny", "tiny"}};

int Synth(SynthCommandOptions o) {
  SynthOptions& options = o.synth;
  if (!options.tokenizer_source.empty() && !std::filesystem::is_regular_file(options.tokenizer_source)) {
    Fail(ErrorKind::kBadFile, "{}: no such file", options.tokenizer_source.string());
  }
  options.format = FormatOf(o.format, options.out);
  if (o.layers > 0) options.num_layers = o.layers;
  SideStream side(true);
  const std::string out = options.out.string();
  const ProgressLine line(out);
  options.progress = [&](int64_t done, int64_t total) { side.Status(line.At(done, total)); };
  const int64_t bytes = Synthesize(options);
  side.Line(
      fmt::format("{}: {} bytes of random weights ({}, seed {})", out, bytes, options.preset, options.seed));
  return 0;
}

}  // namespace

Action AddSynth(Command& command) {
  auto o = std::make_shared<SynthCommandOptions>();
  command.Add("--preset", Choice(o->synth.preset, kPresets), "Shape of the model").Required();
  command.Add("--layers", Number(o->layers, 1, 1024), "Layers [the preset's]");
  command.Add("--seed", Seed(o->synth.seed), "Same seed, same values [0]");
  command.Add("--out", Path(o->synth.out), "Folder to make; for gguf the file").Required();
  AddFormatOptions(command, o->format, o->synth.types);
  command.Add("--tokenizer", Path(o->synth.tokenizer_source, "FILE"),
              "tokenizer.json to put beside it; for gguf into it");
  return [o] { return Synth(*o); };
}

}  // namespace oxidized::cli
