#include "bench/moe.h"

#include <algorithm>

#include "base/interrupt.h"
#include "bench/moe_sections.h"
#include "bench/run_watch.h"

namespace oxidized {
namespace {

constexpr double kCeilingSeconds = 0.2;

struct Section {
  const char* name;
  const char* title;
  std::vector<Figure> (*run)(MoeBenchContext&);
};
constexpr Section kSections[] = {
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
std::vector<Sample> WorstOfRuns(const std::vector<Figure>& figures) {
  std::vector<Sample> worst;
  for (const Figure& figure : figures) {
    worst.resize(std::max(worst.size(), figure.samples.size()));
    for (size_t run = 0; run < figure.samples.size(); ++run) {
      const Sample& sample = figure.samples[run];
      worst[run].waited_share = std::max(worst[run].waited_share, sample.waited_share);
      worst[run].major_faults = std::max(worst[run].major_faults, sample.major_faults);
    }
  }
  return worst;
}

}  // namespace

void MoeBenchContext::Progress(const char* section, int32_t run) const {
  ThrowIfInterrupted();
  watch.status(run == 0 ? fmt::format("{}: warming up", section)
                        : fmt::format("{}: run {} of {}", section, run, runs()));
}

MoeBenchResult RunMoeBench(const MoeBenchSettings& settings, const BenchWatch& watch) {
  BenchMachine machine(settings.threads, SelectCpuKernels(), kCeilingSeconds);
  const ExecutorInfo& info = settings.runtime.loop().info();
  MoeBenchResult result{.model = settings.runtime.checkpoint().path.string(),
                        .device = info.device,
                        .runs = settings.runs,
                        .request = MoeRequestSizeOf(info),
                        .ceilings = machine.ceilings(),
                        .arithmetic = settings.stages.multiplies_bf16() ? "bf16" : "f32"};
  result.arithmetic_per_s = machine.ArithmeticCeiling(result.arithmetic);
  MoeBenchContext context{settings, watch, machine, result};
  for (const Section& section : kSections)
    result.sections.push_back({section.name, section.title, section.run(context)});
  watch.status("");
  for (const MoeSectionResult& section : result.sections)
    WarnIfDisturbed(fmt::format("{}, {}", settings.name, section.name), WorstOfRuns(section.figures));
  return result;
}

}  // namespace oxidized
