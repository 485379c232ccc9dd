// `synth`: a checkpoint of random weights, for measurements and tests without the published files.
#include "checkpoint/synth.h"

#include "base/error.h"
#include "cli/options.h"
#include "cli/terminal.h"

namespace oxidized::cli {

int Run(const SynthCommandOptions& o) {
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

}  // namespace oxidized::cli
