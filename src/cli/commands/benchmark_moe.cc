// --benchmark-moe: the sections in turn, then what they found as a table, a record and a picture.
#include "cli/commands/benchmark_moe.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "bench/run_watch.h"
#include "cli/commands/benchmark_moe_report.h"
#include "cli/commands/benchmark_moe_sections.h"
#include "cli/commands/output_file.h"
#include "model_host/moe_stages.h"
#include "parallel/cpu_topology.h"
#include "report/memory_report.h"
#include "report/moe_report.h"

namespace oxidized::cli {
namespace {

constexpr int64_t kMostRows = 512;
constexpr double kCeilingSeconds = 0.2;

constexpr MoeSection kSections[] = {
    {"end_to_end", "Requests: stages inside real steps, random tokens", BenchMoeEndToEnd},
    {"layers", "Stages of each layer by themselves: the model's own router on random rows", BenchMoeLayers},
    {"expert", "One expert's product (gate_up and down), mean of several experts; groups forced",
     BenchMoeExpert},
    {"load",
     "A layer under three loads: synthetic router logits, choices by the model's rule; mean of layers",
     BenchMoeLoad},
    {"store", "Experts on demand: requests as above with a part of the experts in memory", BenchMoeStore},
};

// A run of a section gives a sample of each figure: what disturbed it the most.
std::vector<Sample> WorstOfRuns(const std::vector<MoeFigure>& figures) {
  std::vector<Sample> worst;
  for (const MoeFigure& figure : figures) {
    worst.resize(std::max(worst.size(), figure.samples.size()));
    for (size_t run = 0; run < figure.samples.size(); ++run) {
      const Sample& sample = figure.samples[run];
      worst[run].waited_share = std::max(worst[run].waited_share, sample.waited_share);
      worst[run].major_faults = std::max(worst[run].major_faults, sample.major_faults);
    }
  }
  return worst;
}

void Check(const ExecutorInfo& info) {
  if (info.name != "cpu") {
    Fail(ErrorKind::kUsage, "--benchmark-moe: the {} executor does not time its stages; use --executor cpu",
         info.name);
  }
  if (info.max_context < 4)
    Fail(ErrorKind::kUsage, "--benchmark-moe needs a context of 4 tokens, --context gives {}",
         info.max_context);
}

}  // namespace

void MoeBenchContext::Progress(const char* section, int32_t run) const {
  ThrowIfInterrupted();
  generation.side().Status(run == 0 ? fmt::format("{}: warming up", section)
                                    : fmt::format("{}: run {} of {}", section, run, runs()));
}

int RunBenchmarkMoe(const GenerateOptions& options) {
  Generation generation(options);
  Check(generation.runtime().engine().info());
  const CpuKernels& kernels = SelectCpuKernels();
  const int threads =
      options.runtime.threads > 0 ? options.runtime.threads : DetectCpuTopology().DefaultThreads();
  ThreadTeam team(threads);
  BandwidthProbe probe(team, kernels);
  const auto stages = MakeMoeStages(options.runtime, generation.runtime().checkpoint(), kMostRows);
  Ceilings ceilings = MeasureArithmetic(team, kernels, kCeilingSeconds);
  ceilings.read_bytes_per_s = probe.Measure(kCeilingSeconds);

  MoeBenchContext context{options,  generation,
                          *stages,  probe,
                          ceilings, stages->multiplies_bf16() ? ceilings.bf16_per_s : ceilings.f32_per_s};
  std::vector<MoeSectionResult> results;
  for (const MoeSection& section : kSections) results.push_back({section, section.run(context)});
  generation.side().Status("");
  for (const MoeSectionResult& result : results)
    WarnIfDisturbed(fmt::format("--benchmark-moe, {}", result.section.name), WorstOfRuns(result.figures));
  if (!options.benchmark_plot.empty()) ReplaceFile(options.benchmark_plot, MoeBenchPicture(context, results));
  WriteAnswer(options.json ? MoeBenchJson(context, results)
                           : MoeBenchTable(context, results, options.verbose));
  if (options.memory_stats) generation.side().Line(MemoryTable());
  if (options.show_moe_metrics) generation.side().Line(RoutingTable(context.routing));
  return 0;
}

}  // namespace oxidized::cli
