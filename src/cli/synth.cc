// `synth`: a checkpoint of random weights, for measurements and tests without the published files.
#include "checkpoint/synth.h"

#include "base/error.h"
#include "cli/command.h"
#include "cli/terminal.h"

namespace oxidized::cli {
namespace {

struct SynthCommandOptions {
  std::string preset;
  int32_t layers = 0;
  uint64_t seed = 0;
  std::string out;
  std::string tokenizer;
};

const std::map<std::string, std::string> kPresets = {
    {"gpt-oss-20b", "gpt-oss-20b"}, {"gpt-oss-120b", "gpt-oss-120b"}, {"small", "small"}, {"tiny", "tiny"}};

int Synth(const SynthCommandOptions& o) {
  if (!o.tokenizer.empty() && !std::filesystem::is_regular_file(o.tokenizer)) {
    Fail(ErrorKind::kBadFile, "{}: no such file", o.tokenizer);
  }
  SideStream side(true);
  SynthOptions options;
  options.preset = o.preset;
  if (o.layers > 0) options.num_layers = o.layers;
  options.seed = o.seed;
  options.out = o.out;
  options.tokenizer_source = o.tokenizer;
  options.progress = [&](int64_t done, int64_t total) {
    side.Status(fmt::format("{}: {:.1f} of {:.1f} GB", o.out, static_cast<double>(done) / 1e9,
                            static_cast<double>(total) / 1e9));
  };
  const int64_t bytes = Synthesize(options);
  side.Line(fmt::format("{}: {} bytes of random weights ({}, seed {})", o.out, bytes, o.preset, o.seed));
  return 0;
}

}  // namespace

Action AddSynth(Command& command) {
  auto o = std::make_shared<SynthCommandOptions>();
  command.Add("--preset", Choice(o->preset, kPresets), "Shape of the model").Required();
  command.Add("--layers", Number(o->layers, 1, 1024), "Layers [the preset's]");
  command.Add("--seed", Seed(o->seed), "Same seed, same bytes [0]");
  command.Add("--out", Text(o->out, "DIR"), "Folder to make").Required();
  command.Add("--tokenizer", Text(o->tokenizer, "FILE"), "tokenizer.json to put beside it");
  return [o] { return Synth(*o); };
}

}  // namespace oxidized::cli
