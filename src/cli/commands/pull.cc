// `pull org/name[@revision][:QUANT]`: a model of the hub into its cache; prints the path that opens.
#include "hub/pull.h"

#include "cli/options/command.h"
#include "cli/terminal/download_report.h"
#include "cli/terminal/terminal.h"

namespace oxidized::cli {
namespace {

struct PullOptions {
  std::string spec;
  std::vector<std::string> include;
};

int PullModel(const PullOptions& options) {
  const hub::RepoSpec spec = hub::ParseRepoSpec(options.spec);
  const hub::PulledModel pulled =
      hub::Pull(spec, options.include, hub::SettingsFromEnvironment(), ReportDownloads());
  WriteAnswer(pulled.path.string() + "\n");
  return 0;
}

}  // namespace

Action AddPull(Command& command) {
  auto options = std::make_shared<PullOptions>();
  command
      .AddPositional("model", Text(options->spec, "MODEL"),
                     "org/name[@revision][:QUANT], such as openai/gpt-oss-20b; QUANT picks one of several "
                     "GGUF files")
      .Required();
  command.Add(
      "--include", Words(options->include, "PATTERN"),
      "Only files that match, such as 'original/*'; may be repeated. Default: what the model opens with");
  return [options] { return PullModel(*options); };
}

}  // namespace oxidized::cli
