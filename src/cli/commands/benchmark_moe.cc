#include "cli/commands/benchmark_moe.h"

#include "base/error.h"
#include "base/output_file.h"
#include "bench/moe_report.h"
#include "cli/commands/bench_watch.h"
#include "cli/commands/terminal_model.h"
#include "cli/options/command.h"
#include "parallel/cpu_topology.h"
#include "report/memory_report.h"
#include "report/moe_report.h"
#include "report/svg_chart.h"

namespace oxidized::cli {
namespace {

std::unique_ptr<MoeStages> StagesOf(Runtime& runtime, const char* name) {
  const ExecutorInfo& info = runtime.loop().info();
  auto stages = runtime.device().MakeMoeStages(kMoeBenchRows);
  if (stages == nullptr) {
    Fail(ErrorKind::kUsage, "{}: the {} executor does not time its stages; use --device cpu", name,
         info.name);
  }
  if (info.max_context < 4)
    Fail(ErrorKind::kUsage, "{} needs a context of 4 tokens, --context gives {}", name, info.max_context);
  return stages;
}

}  // namespace

int RunBenchmarkMoe(const GenerateOptions& options, const char* name) {
  TerminalModel model(options);
  Runtime& runtime = model.runtime();
  SideStream& side = model.side();
  const auto stages = StagesOf(runtime, name);
  const auto open_with = [&](double share) {
    RuntimeOptions with = options.runtime;
    with.model_path = runtime.checkpoint().path;
    with.text = TextParts::kNone;
    with.device.experts.budget = ExpertBudget{.bytes = std::nullopt, .share = share};
    return Runtime::Load(with);
  };
  const int32_t asked = options.runtime.device.threads;
  const int threads = asked > 0 ? asked : DetectCpuTopology().DefaultThreads();
  const MoeBenchResult result = RunMoeBench({.name = name,
                                             .runtime = runtime,
                                             .stages = *stages,
                                             .open_with = open_with,
                                             .routing = options.routing,
                                             .threads = threads,
                                             .runs = options.benchmark_runs,
                                             .seed = options.sampling.seed},
                                            StatusOn(side));
  if (!options.benchmark_plot.path.empty()) WriteOutput(options.benchmark_plot, MoeBenchPicture(result));
  WriteAnswer(options.json ? MoeBenchJson(result)
                           : MoeBenchTable(result, options.verbose) +
                                 (options.verbose ? "" : "--verbose lists each run\n"));
  if (options.memory_stats) side.Line(MemoryTable());
  if (options.show_moe_metrics) side.Line(RoutingTable(result.routing));
  return 0;
}

Action AddBenchMoe(Command& command) {
  auto o = std::make_shared<GenerateOptions>();
  o->benchmark_moe = true;
  o->runtime.text = TextParts::kNone;
  o->runtime.device.read_ahead = true;
  AddModelPath(command, o->runtime);
  AddExecutorOptions(command, o->runtime);
  command.DropRulesOf("--expert-eviction");  // one of the sections has a store of experts of its own
  AddRoutingOptions(command, o->routing, o->runtime.device.experts);
  command.Add("--runs", Number(o->benchmark_runs, 1, 1000), "Runs of each section, after one to warm up [3]");
  command.Add("--plot", Output(o->benchmark_plot, kPictureSign), "Write the figures as a picture (SVG)");
  command.Add("--seed", Seed(o->sampling.seed), "Of the random tokens [0]");
  command.AddFlag("--show-moe-metrics", o->show_moe_metrics,
                  "Table of routing metrics at the end, on stderr");
  command.AddFlag("--memory-stats", o->memory_stats, "Where the bytes are, at the end, on stderr");
  command.AddFlag("--json", o->json, "As one JSON record, each run included");
  command.AddFlag("-v,--verbose", o->verbose, "Each run of each layer");
  command.AddRules({{{"--force"}, OptionRule::Kind::kNeeds, {"--plot"}}});
  return [o] { return RunBenchmarkMoe(*o, "bench moe"); };
}

}  // namespace oxidized::cli
