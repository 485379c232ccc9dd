// `synth`: a checkpoint of random weights, for measurements and tests without the published files.
#include "rewrite/synth.h"

#include "base/error.h"
#include "base/file_status.h"
#include "base/printable.h"
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

std::map<std::string, std::string> Presets() {
  std::map<std::string, std::string> presets;
  for (const std::string_view name : SynthPresetNames()) presets.emplace(name, name);
  return presets;
}

int Synth(SynthCommandOptions o) {
  SynthOptions& options = o.synth;
  if (!options.tokenizer_source.empty() && !IsFile(options.tokenizer_source)) {
    Fail(ErrorKind::kBadFile, "{}: no such file; expected a tokenizer.json, tiktoken rank file or GGUF file",
         EscapeUnprintable(options.tokenizer_source.string()));
  }
  options.format = FormatOf(o.format, options.out);
  if (o.layers > 0) options.num_layers = o.layers;
  SideStream side(true);
  const std::string out = Shown(options.out);
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
  command.Add("--preset", Choice(o->synth.preset, Presets()), "Shape of the model").Required();
  command.Add("--layers", Number(o->layers, 1, 1024), "Layers [the preset's]");
  command.Add("--seed", Seed(o->synth.seed), "Same seed, same values [0]");
  command.Add("--out", Path(o->synth.out), "Folder to make; for gguf the file").Required();
  AddFormatOptions(command, o->format, o->synth.types);
  command.Add("--tokenizer", Path(o->synth.tokenizer_source, "FILE"),
              "tokenizer.json to put beside it; for gguf into it");
  return [o] { return Synth(*o); };
}

}  // namespace oxidized::cli
