// The door of `bench`: its options, how a model is opened for it, and in which form its report is printed.
// What is measured is src/bench/.
#include "bench/bench.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/interrupt.h"
#include "checkpoint/checkpoint.h"
#include "cli/commands/bench_watch.h"
#include "cli/commands/terminal_model.h"
#include "cli/options/command.h"
#include "parallel/cpu_topology.h"

namespace oxidized::cli {
namespace {

using Kind = BenchTest::Kind;

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

BenchReport Measure(const BenchOptions& o) {
  const bool reference = o.runtime.choice.name == "reference";  // one thread, none of our kernels
  SideStream side(true);
  const auto open = [&](int32_t threads, int32_t sequences, int64_t kv_tokens) {
    RuntimeOptions options = o.runtime;
    options.text = TextParts::kNone;
    options.device.threads = o.threads.empty() ? 0 : threads;  // not asked for: the device's own choice
    options.device.read_ahead = true;
    options.device.limits.max_sequences = sequences;
    options.device.limits.kv_tokens = kv_tokens;
    side.Status("opening the model");
    options.device.progress = [&](PrepareStage stage, int64_t done, int64_t total) {
      side.Status(ProgressText(stage, options.device, done, total));
      ThrowIfInterrupted();
    };
    return Runtime::Load(options);
  };
  BenchSettings settings{.tests = TestsOf(o),
                         .named = !o.tests.empty(),
                         .threads = o.threads,
                         .runs = o.runs,
                         .seed = o.seed,
                         .ceiling_seconds = o.ceiling_seconds,
                         .kernels = SelectCpuKernels(),
                         .scalar_executor = reference,
                         .open = open,
                         .shapes =
                             [&] {
                               return OpenCheckpoint(
                                   ResolveModelPath(o.runtime.model_path, o.runtime.download),
                                   {.metadata_only = true});
                             },
                         .mapped = o.runtime.device.use_mmap};
  if (settings.threads.empty()) settings.threads = {reference ? 1 : DetectCpuTopology().DefaultThreads()};
  return RunBench(settings, StatusOn(side));
}

int RunBenchCommand(const BenchOptions& o) {
  if (o.tier) ForceTier(*o.tier);
  const BenchFormat format = o.json       ? BenchFormat::kJson
                             : o.csv      ? BenchFormat::kCsv
                             : o.markdown ? BenchFormat::kMarkdown
                                          : BenchFormat::kTable;
  WriteAnswer(Print(Measure(o), format, o.stages));
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
  return [o] { return RunBenchCommand(*o); };
}

}  // namespace oxidized::cli
