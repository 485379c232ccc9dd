// Each run reads a prompt of random tokens and writes some more. The figures are the executor's own stage
// times of those steps, so they are what a real answer pays: routing (router logits and choice), expert
// compute (both expert products and their sum), and the whole step from the outside.
#include "cli/benchmark_moe.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/rng.h"
#include "cli/generation.h"
#include "cli/memory_report.h"

namespace oxidized::cli {
namespace {

constexpr int64_t kPromptTokens = 256, kAnswerTokens = 32;

enum class Part : uint8_t { kRouting, kExperts, kOther };
Part PartOf(const char* stage) {
  if (std::strcmp(stage, "router") == 0) return Part::kRouting;
  for (const char* name : {"gate_up", "down", "combine"}) {
    if (std::strcmp(stage, name) == 0) return Part::kExperts;
  }
  return Part::kOther;
}

struct PartSums {
  double routing_us = 0.0, experts_us = 0.0, expert_bytes = 0.0, rows = 0.0;
  PartSums operator-(const PartSums& o) const {
    return {routing_us - o.routing_us, experts_us - o.experts_us, expert_bytes - o.expert_bytes,
            rows - o.rows};
  }
};

PartSums Parts(const StageTotals& totals) {
  PartSums sums;
  sums.rows = static_cast<double>(totals.rows);
  for (const StageCost& stage : totals.stages) {
    const Part part = PartOf(stage.stage);
    if (part == Part::kRouting) sums.routing_us += stage.microseconds;
    if (part != Part::kExperts) continue;
    sums.experts_us += stage.microseconds;
    sums.expert_bytes += static_cast<double>(stage.bytes);
  }
  return sums;
}

// One row of the result: a figure of every run.
struct Metric {
  const char* phase;
  const char* name;
  const char* unit;
  std::vector<double> runs;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

class Benchmark {
 public:
  explicit Benchmark(const GenerateOptions& options) : options_(options), generation_(options) {
    const ExecutorInfo& info = generation_.runtime().engine().info();
    if (info.name != "cpu") {
      Fail(ErrorKind::kUsage, "--benchmark-moe: the {} executor does not time its stages; use --executor cpu",
           info.name);
    }
    if (info.max_context < 4)
      Fail(ErrorKind::kUsage, "--benchmark-moe needs a context of 4 tokens, --context gives {}",
           info.max_context);
    prompt_tokens_ = std::min(kPromptTokens, info.max_context / 2);
    answer_tokens_ = std::min(kAnswerTokens, info.max_context - prompt_tokens_);
  }

  int Run();

 private:
  bool RunOnce(uint64_t run, bool counts);  // false: interrupted
  std::string Table();
  std::string Json() const;

  const GenerateOptions& options_;
  Generation generation_;
  int64_t prompt_tokens_, answer_tokens_;
  RoutingStats routing_;
  std::vector<Metric> metrics_ = {
      {"prefill", "routing", "us/token", {}},       {"prefill", "expert compute", "us/token", {}},
      {"prefill", "end to end", "tokens/s", {}},    {"decode", "routing", "us/token", {}},
      {"decode", "expert compute", "us/token", {}}, {"decode", "expert weights", "GB/s", {}},
      {"decode", "end to end", "tokens/s", {}}};
};

bool Benchmark::RunOnce(uint64_t run, bool counts) {
  Engine& engine = generation_.runtime().engine();
  Request request;
  const auto vocabulary = static_cast<uint32_t>(engine.info().vocab_size);
  // Another prompt each run: nothing can be reused.
  for (int64_t i = 0; i < prompt_tokens_; ++i) {
    const uint32_t bits = RandomBits(options_.sampling.seed, run, static_cast<uint64_t>(i))[0];
    request.prompt.push_back(static_cast<int32_t>(bits % vocabulary));
  }
  request.max_new_tokens = answer_tokens_;
  request.sampling.temperature = 0.0;
  request.routing = options_.routing;
  const PartSums prefill_before = Parts(engine.prefill_totals()),
                 decode_before = Parts(engine.decode_totals());
  const auto id = engine.Submit(std::move(request));
  if (!id) throw Error(id.error().kind, id.error().message);
  std::optional<Finished> finished;
  while (!finished) {
    engine.Step();
    if (PendingSignal() != 0) return false;
    for (Event& event : engine.TakeEvents(*id)) {
      if (auto* end = std::get_if<Finished>(&event)) finished = std::move(*end);
    }
  }
  if (finished->error) throw Error(finished->error->kind, finished->error->message);
  if (!counts) return true;

  const RequestStats& stats = finished->stats;
  const PartSums prefill = Parts(engine.prefill_totals()) - prefill_before;
  const PartSums decode = Parts(engine.decode_totals()) - decode_before;
  const double figures[] = {
      prefill.routing_us / prefill.rows,
      prefill.experts_us / prefill.rows,
      static_cast<double>(stats.prompt_tokens - stats.reused_tokens) / stats.prefill_us * 1e6,
      decode.routing_us / decode.rows,
      decode.experts_us / decode.rows,
      decode.expert_bytes / decode.experts_us / 1e3,
      static_cast<double>(stats.generated_tokens - 1) / stats.decode_us * 1e6,
  };
  for (size_t i = 0; i < metrics_.size(); ++i) metrics_[i].runs.push_back(figures[i]);
  routing_.Add(stats.routing);
  return true;
}

std::string Benchmark::Table() {
  std::string table =
      fmt::format("{}: {} runs after one to warm up, each {} prompt tokens and {} more\n{:<26}{:<10}",
                  generation_.runtime().checkpoint().path.string(), options_.benchmark_runs, prompt_tokens_,
                  answer_tokens_, "", "unit");
  for (int32_t run = 1; run <= options_.benchmark_runs; ++run)
    table += fmt::format("{:>10}", fmt::format("run {}", run));
  table += fmt::format("{:>10}{:>10}\n", "median", "spread");
  for (const Metric& metric : metrics_) {
    table += fmt::format("{:<26}{:<10}", fmt::format("{} {}", metric.phase, metric.name), metric.unit);
    for (const double value : metric.runs) table += fmt::format("{:10.1f}", value);
    const auto [low, high] = std::minmax_element(metric.runs.begin(), metric.runs.end());
    const double median = Median(metric.runs);
    table +=
        fmt::format("{:10.1f}{:>10}\n", median, fmt::format("{:.1f} %", 100.0 * (*high - *low) / median));
  }
  return table + "spread: (highest - lowest) / median\n";
}

std::string Benchmark::Json() const {
  nlohmann::ordered_json json = {{"prompt_tokens", prompt_tokens_}, {"answer_tokens", answer_tokens_}};
  for (const Metric& metric : metrics_) {
    const auto [low, high] = std::minmax_element(metric.runs.begin(), metric.runs.end());
    json["metrics"].push_back({{"phase", metric.phase},
                               {"name", metric.name},
                               {"unit", metric.unit},
                               {"runs", metric.runs},
                               {"median", Median(metric.runs)},
                               {"min", *low},
                               {"max", *high}});
  }
  return json.dump() + "\n";
}

int Benchmark::Run() {
  for (int32_t run = 0; run <= options_.benchmark_runs; ++run) {
    generation_.side().Status(run == 0 ? std::string("warming up")
                                       : fmt::format("run {} of {}", run, options_.benchmark_runs));
    if (!RunOnce(static_cast<uint64_t>(run), run > 0)) return 128 + PendingSignal();
  }
  generation_.side().Status("");
  WriteAnswer(options_.json ? Json() : Table());
  if (options_.memory_stats) generation_.side().Line(MemoryTable());
  if (options_.show_moe_metrics) generation_.side().Line(RoutingTable(routing_));
  return 0;
}

}  // namespace

int RunBenchmarkMoe(const GenerateOptions& options) { return Benchmark(options).Run(); }

}  // namespace oxidized::cli
