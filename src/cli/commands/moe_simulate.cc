// `moe simulate`: what a cache of experts would have done, for a trace of a real run or for made-up routing,
// under each rule of eviction and under Belady's optimum, with and without reading ahead.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/printable.h"
#include "cli/options/command.h"
#include "cli/terminal/terminal.h"
#include "experts/expert_budget.h"
#include "moe/cache_simulator.h"

namespace oxidized::cli {
namespace {

using Json = nlohmann::ordered_json;

enum class Phases : uint8_t { kAll, kPrefill, kDecode };

struct SimulateOptions {
  std::filesystem::path trace;
  OutputName save;
  std::string synthetic;
  std::vector<std::string> budgets;
  std::string policy;  // empty: all
  double recall = 0.8;
  Phases phases = Phases::kAll;
  bool json = false;
  // Of synthetic routing: the shape of gpt-oss-20b.
  RoutingShape shape{24, 32, 4, 32};
  int64_t tokens = 2000;
  int64_t expert_bytes = 13236480;
  uint64_t seed = 0;
};

struct Budget {
  std::string text;
  int64_t slots;
};

std::vector<Budget> Budgets(const SimulateOptions& o, const AccessStream& stream) {
  std::vector<std::string> texts;
  for (const std::string& word : o.budgets) {
    for (size_t begin = 0, end; begin <= word.size(); begin = end + 1) {
      end = std::min(word.find(',', begin), word.size());
      texts.push_back(word.substr(begin, end - begin));
    }
  }
  if (texts.empty()) texts = {"25%", "50%", "75%"};
  const RoutingShape& shape = stream.shape();
  const int64_t all = int64_t{shape.num_layers} * shape.num_experts;
  std::vector<Budget> budgets;
  for (const std::string& text : texts) {
    const auto budget = ParseExpertBudget(text);
    if (!budget)
      Fail(ErrorKind::kUsage, "--budget: '{}' is not a size like 4GiB, nor a share like 25%", text);
    if (budget->bytes && stream.expert_bytes() == 0)
      Fail(ErrorKind::kUsage,
           "--budget {}: the trace does not say what an expert takes; give a share like 25%", text);
    const int64_t slots = budget->share
                              ? static_cast<int64_t>(*budget->share * static_cast<double>(all) + 1e-9)
                              : *budget->bytes / stream.expert_bytes();
    if (slots < shape.experts_per_token) {
      Fail(ErrorKind::kUsage, "--budget {}: room for {}, a token uses {} in each layer", text,
           Counted(slots, "expert"), shape.experts_per_token);
    }
    budgets.push_back({text, std::min(slots, all)});
  }
  return budgets;
}

AccessStream FromTrace(const SimulateOptions& o) {
  const TraceReader trace = TraceReader::Open(o.trace);
  AccessStream stream(trace.header());
  TraceRecord record;
  for (int64_t i = 0; i < trace.size(); ++i) {
    trace.Read(i, record);
    const bool prefill = record.phase == RoutingPhase::kPrefill;
    if (o.phases == (prefill ? Phases::kDecode : Phases::kPrefill)) continue;
    stream.Add(record);
  }
  if (stream.tokens() == 0) Fail(ErrorKind::kBadFile, "{}: the trace has no such tokens", o.trace.string());
  stream.Finish();
  return stream;
}

AccessStream FromSynthetic(const SimulateOptions& o) {
  const auto routing = ParseSyntheticRouting(o.synthetic);
  if (!routing) {
    Fail(ErrorKind::kUsage,
         "--synthetic: '{}' is none of uniform, zipf:S (S to 100), sticky:P (P to 1), all-to-one",
         o.synthetic);
  }
  RoutingShape shape = o.shape;
  shape.usable_experts = shape.num_experts;
  if (shape.experts_per_token > shape.num_experts)
    Fail(ErrorKind::kUsage, "--experts-per-token {}: more than {}", shape.experts_per_token,
         Counted(shape.num_experts, "expert"));
  const TraceHeader header{shape, !o.save.path.empty(), o.expert_bytes};
  SyntheticTokens source(*routing, header, o.seed);
  std::optional<TraceWriter> writer;
  if (!o.save.path.empty()) writer.emplace(o.save, header);
  AccessStream stream(header);
  TraceRecord record;
  for (int64_t t = 0; t < o.tokens; ++t) {
    source.Next(record);
    stream.Add(record);
    if (writer) writer->Write(record);
  }
  if (writer) writer->Close();
  stream.Finish();
  return stream;
}

struct Result {
  const Budget* budget;
  const char* policy;
  bool prefetch;
  ExpertCacheLayer total;
  double vs_belady;  // misses over those of Belady's optimum without reading ahead
};

double Over(double a, double b) { return b > 0.0 ? a / b : 0.0; }

std::vector<Result> Simulate(const SimulateOptions& o, const AccessStream& stream,
                             const std::vector<Budget>& budgets) {
  std::vector<Result> results;
  for (const Budget& budget : budgets) {
    const auto run = [&](std::optional<EvictionRule> rule, double recall) {
      return SimulateCache(stream,
                           {.rule = rule, .slots = budget.slots, .prefetch_recall = recall, .seed = o.seed})
          .Total();
    };
    const ExpertCacheLayer best = run(std::nullopt, -1.0);
    results.push_back({&budget, "belady", false, best, 1.0});
    for (const bool prefetch : {false, true}) {
      if (prefetch && o.recall <= 0.0) continue;
      for (const EvictionRuleInfo& rule : EvictionRules()) {
        if (!o.policy.empty() && o.policy != rule.name) continue;
        const ExpertCacheLayer total = run(rule.rule, prefetch ? o.recall : -1.0);
        results.push_back({&budget, rule.name, prefetch, total,
                           Over(static_cast<double>(total.misses), static_cast<double>(best.misses))});
      }
    }
  }
  return results;
}

std::string Table(const SimulateOptions& o, const AccessStream& stream, const std::vector<Result>& results) {
  const RoutingShape& shape = stream.shape();
  const auto tokens = static_cast<double>(stream.tokens());
  std::string text = fmt::format("{} in {}; {}, {} of {} a token", Counted(stream.tokens(), "token"),
                                 Counted(stream.steps(), "step"), Counted(shape.num_layers, "layer"),
                                 shape.experts_per_token, Counted(shape.num_experts, "expert"));
  if (stream.expert_bytes() > 0)
    text += fmt::format(", {:.2f} MB each", static_cast<double>(stream.expert_bytes()) / 1e6);
  if (o.recall > 0.0)
    text += fmt::format("\nahead: {:.0f} % of the next layer's experts are guessed and read early",
                        100.0 * o.recall);
  text +=
      "\nbudgets as given, of each the optimum first; misses, reads and MB are a token's"
      "\n\nbudget          policy              hits   misses    reads        MB x Belady\n";
  const Budget* last = nullptr;
  for (const Result& r : results) {
    text += fmt::format("{:<16}{:<16}{:>6.1f} %{:>9.2f}{:>9.2f}{:>10.1f}{:>9.2f}\n",
                        r.budget == last ? "" : fmt::format("{} ({})", r.budget->text, r.budget->slots),
                        fmt::format("{}{}", r.policy, r.prefetch ? ", ahead" : ""),
                        100.0 * r.total.hit_rate(), static_cast<double>(r.total.misses) / tokens,
                        static_cast<double>(r.total.misses + r.total.prefetches) / tokens,
                        static_cast<double>(r.total.bytes_read) / tokens / 1e6, r.vs_belady);
    last = r.budget;
  }
  return text;
}

std::string ResultsJson(const SimulateOptions& o, const AccessStream& stream,
                        const std::vector<Result>& results) {
  const RoutingShape& shape = stream.shape();
  Json json = {{"tokens", stream.tokens()},
               {"steps", stream.steps()},
               {"uses", stream.uses()},
               {"layers", shape.num_layers},
               {"experts", shape.num_experts},
               {"experts_per_token", shape.experts_per_token},
               {"expert_bytes", stream.expert_bytes()},
               {"prefetch_recall", o.recall}};
  json["results"] = Json::array();
  for (const Result& r : results) {
    json["results"].push_back({{"budget", r.budget->text},
                               {"slots", r.budget->slots},
                               {"policy", r.policy},
                               {"prefetch", r.prefetch},
                               {"hits", r.total.hits},
                               {"late", r.total.late},
                               {"misses", r.total.misses},
                               {"hit_rate", r.total.hit_rate()},
                               {"prefetches", r.total.prefetches},
                               {"prefetch_hits", r.total.prefetch_hits},
                               {"evictions", r.total.evictions},
                               {"bytes_read", r.total.bytes_read},
                               {"misses_over_belady", r.vs_belady}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

int RunSimulate(const SimulateOptions& o) {
  if (o.trace.empty() && o.synthetic.empty())
    Fail(ErrorKind::kUsage, "give one of --trace FILE and --synthetic ROUTING");
  const AccessStream stream = o.synthetic.empty() ? FromTrace(o) : FromSynthetic(o);
  const std::vector<Budget> budgets = Budgets(o, stream);
  const std::vector<Result> results = Simulate(o, stream, budgets);
  WriteAnswer(o.json ? ResultsJson(o, stream, results) : Table(o, stream, results));
  return 0;
}

}  // namespace

Action AddMoeSimulate(Command& command) {
  auto o = std::make_shared<SimulateOptions>();
  std::map<std::string, std::string> policies;
  for (const EvictionRuleInfo& rule : EvictionRules()) policies[rule.name] = rule.name;
  command.Add("--trace", Path(o->trace, "FILE"), "Trace of a run (--moe-trace)");
  command.Add("--synthetic", Text(o->synthetic, "ROUTING"),
              "Made-up routing instead: uniform, zipf:S, sticky:P, all-to-one");
  command.Add(
      "--budget", Words(o->budgets, "SIZE"),
      "Memory for experts: 4GiB, or a share of all, 25%; several with commas, or given again [25%,50%,75%]");
  command.Add("--policy", Choice(o->policy, policies),
              "This rule of eviction alone, beside Belady's optimum [all]");
  command.Add(
      "--prefetch-recall", Number(o->recall, 0, 1, "P"),
      "Share of the next layer's experts that reading ahead guesses right; 0: none is read ahead [0.8]");
  command.Add("--phase",
              Choice(o->phases,
                     std::map<std::string, Phases>{
                         {"all", Phases::kAll}, {"prefill", Phases::kPrefill}, {"decode", Phases::kDecode}}),
              "Tokens of the trace to replay [all]");
  command.Add("--tokens", Number(o->tokens, 1, 1 << 24), "Synthetic: tokens, one a step [2000]");
  command.Add("--layers", Number(o->shape.num_layers, 1, 1024), "Synthetic: layers [24]");
  command.Add("--experts", Number(o->shape.num_experts, 1, 4096), "Synthetic: experts a layer [32]");
  command.Add("--experts-per-token", Number(o->shape.experts_per_token, 1, 256),
              "Synthetic: experts a token [4]");
  command.Add("--expert-bytes", Number(o->expert_bytes, 0, int64_t{1} << 40),
              "Synthetic: bytes of an expert [13236480, gpt-oss]");
  command.Add("--seed", Seed(o->seed), "Of synthetic routing and of wrong guesses [0]");
  command.Add("--save-trace", Output(o->save, kTraceSign), "Synthetic: write it as a trace, logits included");
  command.AddFlag("--json", o->json, "One JSON record on stdout");
  using Kind = OptionRule::Kind;
  command.AddRules(
      {{{"--trace"}, Kind::kContradicts, {"--synthetic"}},
       {{"--tokens", "--layers", "--experts", "--experts-per-token", "--expert-bytes", "--save-trace"},
        Kind::kNeeds,
        {"--synthetic"}},
       {{"--phase"}, Kind::kNeeds, {"--trace"}},
       {{"--force"}, Kind::kNeeds, {"--save-trace"}}});
  return [o] { return RunSimulate(*o); };
}

}  // namespace oxidized::cli
