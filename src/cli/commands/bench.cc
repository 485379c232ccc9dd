// `bench`: how fast the model runs here, each figure beside what the machine could do at most. Measures the
// ceilings first, then runs the tests in turn, again and again, with a probe of memory's speed between any
// two samples.
#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/printable.h"
#include "bench/bench_engine.h"
#include "bench/bench_harmony.h"
#include "bench/bench_kernels.h"
#include "bench/bench_report.h"
#include "bench/run_watch.h"
#include "checkpoint/checkpoint.h"
#include "cli/commands/generation.h"
#include "cli/options/command.h"
#include "cli/terminal/terminal.h"
#include "parallel/cpu_topology.h"

namespace oxidized::cli {
namespace {

using Kind = BenchTest::Kind;

constexpr double kProbeSeconds = 0.02;

struct BenchOptions {
  RuntimeOptions runtime;
  std::vector<std::string> tests;
  std::vector<int32_t> threads;  // empty: the processors this process may use
  int32_t runs = 3;
  uint64_t seed = 0;
  double ceiling_seconds = 0.3;
  std::optional<std::string> tier;
  bool json = false, csv = false, markdown = false, stages = false;
};

// What multiplies at this precision, at best.
double ArithmeticCeiling(const Ceilings& ceilings, const std::string& precision, bool int8) {
  if (int8 && ceilings.int8_per_s > 0.0) return ceilings.int8_per_s;
  return precision == "bf16" && ceilings.bf16_per_s > 0.0 ? ceilings.bf16_per_s : ceilings.f32_per_s;
}

void ForceTier(const std::string& name) {
  std::string names;
  for (const CpuTier& tier : CpuTiers()) {
    if (!tier.available) continue;
    if (name == tier.kernels->name) {
      setenv("OXIDIZED_CPU_TIER", name.c_str(), 1);  // the one switch that everyone who selects kernels reads
      return;
    }
    names += (names.empty() ? "" : ", ") + std::string(tier.kernels->name);
  }
  Fail(ErrorKind::kUsage, "--tier: '{}' is none that this machine has: {}", name, names);
}

template <typename Predicate>
bool Includes(const std::vector<BenchTest>& tests, Predicate predicate) {
  return std::any_of(tests.begin(), tests.end(), predicate);
}

std::vector<BenchTest> TestsOf(const BenchOptions& o) {
  std::vector<BenchTest> tests;
  for (const std::string& name : o.tests) tests.push_back(ParseBenchTest(name));
  return tests.empty() ? DefaultBenchTests() : tests;
}

class Bench {
 public:
  Bench(const BenchOptions& options, std::vector<BenchTest> tests)
      : options_(options), tests_(std::move(tests)), kernels_(SelectCpuKernels()), side_(true) {
    report_.seed = options.seed;
    report_.runs = options.runs;
    if (!reference() || Wants(Kind::kKernels)) report_.tier = kernels_.name;
  }

  BenchReport Run() {
    if (Wants(Kind::kHarmony)) {
      side_.Status("harmony");
      for (Figure& figure : BenchHarmony(options_.runs, options_.seed))
        report_.figures.push_back(std::move(figure));
    }
    std::vector<int32_t> threads = options_.threads;
    if (threads.empty()) threads = {reference() ? 1 : DetectCpuTopology().DefaultThreads()};
    for (const int32_t count : threads) RunWith(count);
    side_.Status("");
    for (const Figure& figure : report_.figures) {
      WarnIfDisturbed(fmt::format("{} with {}", figure.test, Counted(figure.threads, "thread")),
                      figure.samples);
    }
    return std::move(report_);
  }

 private:
  bool Wants(Kind kind) const {
    return Includes(tests_, [kind](const BenchTest& t) { return t.kind == kind; });
  }
  // One thread, none of our kernels, and no bytes or operations counted.
  bool reference() const { return options_.runtime.choice.name == "reference"; }

  void RunWith(int32_t threads) {
    ThreadTeam team(threads);
    side_.Status("measuring what the machine can do");
    BandwidthProbe probe(team, kernels_);
    Ceilings ceilings = MeasureArithmetic(team, kernels_, options_.ceiling_seconds);
    ceilings.read_bytes_per_s = probe.Measure(options_.ceiling_seconds);
    report_.teams.push_back({threads, kernels_.name, "", ceilings});

    std::vector<BenchTest> engine_tests;
    for (const BenchTest& test : tests_) {
      if (test.needs_engine()) engine_tests.push_back(test);
    }
    if (!engine_tests.empty()) RunEngine(*Load(threads), engine_tests, probe, ceilings, threads);
    if (Wants(Kind::kKernels)) {
      const RuntimeOptions& model = options_.runtime;
      const Checkpoint shapes =  // all that is wanted of the model
          OpenCheckpoint(ResolveModelPath(model.model_path, model.download), {.metadata_only = true});
      report_.model = shapes.path.string();
      auto figures = BenchKernels({shapes.config, kernels_, team, probe, ceilings, options_.runs,
                                   [this](const std::string& name) { side_.Status("kernels: " + name); }});
      for (Figure& figure : figures) report_.figures.push_back(std::move(figure));
    }
  }

  std::unique_ptr<Runtime> Load(int32_t threads) {
    RuntimeOptions options = options_.runtime;
    options.text = TextParts::kNone;
    options.device.threads = threads;
    options.device.read_ahead = true;
    for (const BenchTest& test : tests_)
      options.device.limits.max_sequences = std::max(options.device.limits.max_sequences, test.sequences);
    side_.Status("opening the model");
    options.device.progress = [this, &options](PrepareStage stage, int64_t done, int64_t total) {
      side_.Status(ProgressText(stage, options.device, done, total));
      ThrowIfInterrupted();
    };
    auto runtime = Runtime::Load(options);
    const ExecutorInfo& info = runtime->executor().Info();
    report_.model = runtime->checkpoint().path.string();
    report_.executor = info.name;
    report_.precision = info.precision;
    report_.activations = info.activations;
    report_.weights = WeightsOf(*runtime);
    report_.teams.back().device = info.device;
    return runtime;
  }

  BenchReport::Weights WeightsOf(const Runtime& runtime) const {
    BenchReport::Weights weights{.mapped = options_.runtime.device.use_mmap,
                                 .converted_bytes = runtime.checkpoint().converted.bytes};
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

  void RunEngine(Runtime& runtime, std::vector<BenchTest> tests, BandwidthProbe& probe,
                 const Ceilings& ceilings, int32_t threads) {
    BenchEngine engine(runtime.engine(), options_.seed);
    std::erase_if(tests, [&](const BenchTest& test) {
      const std::string lacks = engine.Lacks(test);
      if (lacks.empty()) return false;
      if (!options_.tests.empty()) Fail(ErrorKind::kContextFull, "bench: {} {}", test.name, lacks);
      side_.Line(fmt::format("{} is left out: it {}", test.name, lacks));
      return true;
    });
    std::vector<Figure> figures;
    for (const BenchTest& test : tests) {
      side_.Status(test.name + ": warming up");
      engine.WarmUp(test);
      figures.push_back(
          {.test = test.name,
           .threads = threads,
           .tier = reference() ? "" : kernels_.name,
           .unit = test.kind == Kind::kFirstToken ? "ms" : "tokens/s",
           .arithmetic_per_s = reference()
                                   ? 0.0
                                   : ArithmeticCeiling(ceilings, report_.precision,
                                                       !runtime.executor().Info().activations.empty())});
    }
    double before = probe.Measure(kProbeSeconds);
    for (int32_t run = 1; run <= options_.runs; ++run) {
      for (size_t i = 0; i < tests.size(); ++i) {
        side_.Status(fmt::format("{}: run {} of {}", tests[i].name, run, options_.runs));
        BenchEngine::Result result = engine.Run(tests[i]);
        const double after = probe.Measure(kProbeSeconds);
        result.sample.read_bytes_per_s = (before + after) / 2;
        before = after;
        Add(result, figures[i]);
      }
    }
    for (Figure& figure : figures) report_.figures.push_back(std::move(figure));
  }

  static void Add(const BenchEngine::Result& result, Figure& figure) {
    figure.samples.push_back(result.sample);
    StageTotals sums{figure.steps, 0, std::move(figure.stages)};
    sums.Add(result.stages);
    figure.stages = std::move(sums.stages);
    figure.steps = sums.steps;
  }

  const BenchOptions& options_;
  const std::vector<BenchTest> tests_;
  const CpuKernels& kernels_;
  SideStream side_;
  BenchReport report_;
};

int RunBench(const BenchOptions& o) {
  if (o.tier) ForceTier(*o.tier);
  const BenchFormat format = o.json       ? BenchFormat::kJson
                             : o.csv      ? BenchFormat::kCsv
                             : o.markdown ? BenchFormat::kMarkdown
                                          : BenchFormat::kTable;
  WriteAnswer(Print(Bench(o, TestsOf(o)).Run(), format, o.stages));
  return 0;
}

// "1,2,8": each team once, in this order.
Value ThreadCounts(std::vector<int32_t>& counts) {
  return {"N,...", [&counts](const std::string& text) {
            counts.clear();
            for (size_t at = 0; at <= text.size();) {
              const size_t end = std::min(text.find(',', at), text.size());
              int32_t count = 0;
              ThreadCount(count).set(text.substr(at, end - at));
              // Another number that comes to the same team, once it is cut to the processors, adds nothing.
              if (std::find(counts.begin(), counts.end(), count) == counts.end()) counts.push_back(count);
              at = end + 1;
            }
          }};
}

// What the named tests have no use for.
void AddTestRules(Command& command, const std::shared_ptr<const BenchOptions>& o) {
  using Needs = bool (*)(const BenchTest&);
  constexpr Needs kEngine = [](const BenchTest& t) { return t.needs_engine(); };
  constexpr Needs kModel = [](const BenchTest& t) { return t.needs_engine() || t.kind == Kind::kKernels; };
  constexpr Needs kSeed = [](const BenchTest& t) { return t.needs_engine() || t.kind == Kind::kHarmony; };
  constexpr Needs kFigures = [](const BenchTest& t) { return t.kind != Kind::kCeilings; };
  const auto unless = [&](Needs needs, std::vector<std::string> options, std::string because) {
    command.AddRules(
        {{std::move(options), OptionRule::Kind::kUselessWith, {"test"}, std::move(because), [o, needs] {
            return !Includes(TestsOf(*o), needs);
          }}});
  };
  unless(kModel, {"--model-path"}, "no model is opened");
  unless(kEngine,
         {"--device", "--executor", "--precision", "--activations", "--context", "--chunk-tokens",
          "--yarn-truncate", "--use-mmap", "--pack-weights", "--packed-weights", "--expert-memory",
          "--expert-eviction", "--expert-prefetch", "--stages"},
         "no model is run");
  unless(kSeed, {"--seed"}, "nothing is random");
  unless(kFigures, {"--runs", "--csv"}, "ceilings are measured once, and shown by --json");
  command.AddRules({{{"--tier"},
                     OptionRule::Kind::kUselessWith,
                     {"--executor", "--device"},
                     "the reference executor uses no kernels",
                     [o] {
                       constexpr Needs kTier = [](const BenchTest& t) {
                         return t.kind == Kind::kKernels || t.kind == Kind::kCeilings;
                       };
                       return o->runtime.choice.name == "reference" && Includes(TestsOf(*o), kEngine) &&
                              !Includes(TestsOf(*o), kTier);
                     }}});
}

}  // namespace

Action AddBench(Command& command) {
  auto o = std::make_shared<BenchOptions>();
  AddModelPath(command, o->runtime);
  AddExecutorOptions(command, o->runtime, ThreadCounts(o->threads));
  command.Add("--tier", Text(o->tier, "NAME"),
              "Instructions to use instead of the best: scalar, avx2, avx512, ... (OXIDIZED_CPU_TIER)");
  command.Add("--runs", Number(o->runs, 1, 1000), "Samples of each test [3]");
  command.Add("--ceiling-seconds", Number(o->ceiling_seconds, 0.001, 60, "S"),
              "Time given to the measurement of each ceiling [0.3]");
  command.Add("--seed", Seed(o->seed), "Of the random tokens [0]");
  command.AddFlag("--stages", o->stages, "Where the time of a step goes");
  command.AddFlag("--json", o->json, "As JSON, each sample included");
  command.AddFlag("--csv", o->csv, "As CSV");
  command.AddFlag("--markdown", o->markdown, "As a markdown table");
  using Kind = OptionRule::Kind;
  command.AddRules({{{"--json"}, Kind::kContradicts, {"--csv", "--markdown"}},
                    {{"--csv"}, Kind::kContradicts, {"--markdown"}},
                    {{"--stages"}, Kind::kContradicts, {"--csv"}, "use --json"}});
  AddTestRules(command, o);
  command.AddPositional(
      "test", Words(o->tests, "TEST"),
      "ppN, tgN, bS (S sequences together), each with @dDEPTH if wanted, ttftN, harmony, kernels, "
      "ceilings [pp512 pp2048 tg64 tg128 tg64@d4096 b1 b2 b4 b8 b16 ttft16 ttft64 ttft256]");
  return [o] { return RunBench(*o); };
}

}  // namespace oxidized::cli
