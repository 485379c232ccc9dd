#include "bench/bench.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "bench/engine.h"
#include "bench/harmony.h"
#include "bench/kernels.h"
#include "bench/machine.h"
#include "bench/run_watch.h"

namespace oxidized {
namespace {

using Kind = BenchTest::Kind;

constexpr double kProbeSeconds = 0.02;

BenchReport::Weights WeightsOf(const Runtime& runtime, const BenchSettings& settings) {
  BenchReport::Weights weights{.mapped = settings.mapped,
                               .converted_bytes = runtime.checkpoint().decoded.bytes};
  for (const PreparedWeights& prepared : runtime.device().report().prepared) {
    if (prepared.form == "packed") {
      weights.packed_bytes = prepared.bytes;
      weights.packed_file = prepared.own_file;
    } else {
      weights.arrangement = prepared.form;
      weights.arranged_bytes = prepared.bytes;
    }
  }
  if (const ExpertStore* store = runtime.device().expert_store()) {
    weights.mapped = false;  // all but the experts is read
    weights.expert_slots = store->slots();
    weights.stored_experts = store->map().num_stored();
    weights.slot_bytes = store->slot_bytes();
  }
  return weights;
}

class Bench {
 public:
  Bench(const BenchSettings& settings, const BenchWatch& watch) : settings_(settings), watch_(watch) {
    report_.seed = settings.seed;
    report_.runs = settings.runs;
    if (!settings.scalar_executor || Wants(Kind::kKernels)) report_.tier = settings.kernels.name;
  }

  BenchReport Run() {
    if (Wants(Kind::kHarmony)) {
      watch_.status("harmony");
      Take(BenchHarmony(settings_.runs, settings_.seed));
    }
    for (const int32_t count : settings_.threads) RunWith(count);
    watch_.status("");
    for (const Figure& figure : report_.figures) {
      WarnIfDisturbed(fmt::format("{} with {}", figure.test, Counted(figure.threads, "thread")),
                      figure.samples);
    }
    return std::move(report_);
  }

 private:
  bool Wants(Kind kind) const {
    return std::any_of(settings_.tests.begin(), settings_.tests.end(),
                       [kind](const BenchTest& t) { return t.kind == kind; });
  }
  void Take(std::vector<Figure> figures) {
    for (Figure& figure : figures) report_.figures.push_back(std::move(figure));
  }

  void RunWith(int32_t threads) {
    watch_.status("measuring what the machine can do");
    BenchMachine machine(threads, settings_.kernels, settings_.ceiling_seconds);
    report_.teams.push_back({threads, settings_.kernels.name, "", machine.ceilings()});

    std::vector<BenchTest> engine_tests;
    for (const BenchTest& test : settings_.tests) {
      if (test.needs_engine()) engine_tests.push_back(test);
    }
    if (!engine_tests.empty()) RunEngine(*Open(threads), std::move(engine_tests), machine);
    if (Wants(Kind::kKernels)) {
      const Checkpoint shapes = settings_.shapes();
      report_.model = shapes.path.string();
      Take(BenchKernels({shapes.config, settings_.kernels, machine, settings_.runs,
                         [this](const std::string& name) { watch_.status("kernels: " + name); }}));
    }
  }

  std::unique_ptr<Runtime> Open(int32_t threads) {
    int32_t sequences = 1;
    int64_t kv_tokens = 0;
    for (const BenchTest& test : settings_.tests) {
      sequences = std::max(sequences, test.sequences);
      if (test.needs_engine()) kv_tokens = std::max(kv_tokens, BenchEngine::KvTokens(test));
    }
    auto runtime = settings_.open(threads, sequences, kv_tokens);
    const ExecutorInfo& info = runtime->loop().info();
    report_.model = runtime->checkpoint().path.string();
    report_.executor = info.name;
    report_.precision = info.precision;
    report_.activations = info.activations;
    report_.weights = WeightsOf(*runtime, settings_);
    report_.teams.back().device = info.device;
    return runtime;
  }

  void RunEngine(Runtime& runtime, std::vector<BenchTest> tests, BenchMachine& machine) {
    BenchEngine engine(runtime.loop(), settings_.seed);
    std::erase_if(tests, [&](const BenchTest& test) {
      const std::string lacks = engine.Lacks(test);
      if (lacks.empty()) return false;
      if (settings_.named) Fail(ErrorKind::kContextFull, "bench: {} {}", test.name, lacks);
      watch_.line(fmt::format("{} is left out: it {}", test.name, lacks));
      return true;
    });
    const bool scalar = settings_.scalar_executor;
    const std::string multiplied = report_.activations.empty() ? report_.precision : report_.activations;
    std::vector<Figure> figures;
    for (const BenchTest& test : tests) {
      watch_.status(test.name + ": warming up");
      engine.WarmUp(test);
      figures.push_back({.test = test.name,
                         .threads = machine.team().size(),
                         .tier = scalar ? "" : settings_.kernels.name,
                         .unit = test.kind == Kind::kFirstToken ? "ms" : "tokens/s",
                         .arithmetic_per_s = scalar ? 0.0 : machine.ArithmeticCeiling(multiplied)});
    }
    double before = machine.probe().Measure(kProbeSeconds);
    for (int32_t run = 1; run <= settings_.runs; ++run) {
      for (size_t i = 0; i < tests.size(); ++i) {
        watch_.status(fmt::format("{}: run {} of {}", tests[i].name, run, settings_.runs));
        BenchEngine::Result result = engine.Run(tests[i]);
        const double after = machine.probe().Measure(kProbeSeconds);
        result.sample.read_bytes_per_s = (before + after) / 2;
        before = after;
        Add(result, figures[i]);
      }
    }
    Take(std::move(figures));
  }

  static void Add(const BenchEngine::Result& result, Figure& figure) {
    figure.samples.push_back(result.sample);
    StageTotals sums{figure.steps, 0, std::move(figure.stages)};
    sums.Add(result.stages);
    figure.stages = std::move(sums.stages);
    figure.steps = sums.steps;
  }

  const BenchSettings& settings_;
  const BenchWatch& watch_;
  BenchReport report_;
};

}  // namespace

BenchReport RunBench(const BenchSettings& settings, const BenchWatch& watch) {
  return Bench(settings, watch).Run();
}

}  // namespace oxidized
