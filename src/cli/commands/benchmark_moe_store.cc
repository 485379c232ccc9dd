// The requests of the end-to-end section again, with room for a part of the experts only: what reading the
// others costs. Each budget has a runtime of its own, so its pool starts empty; the run that warms up fills
// it.
#include "bench/run_watch.h"
#include "cli/commands/benchmark_moe_sections.h"

namespace oxidized::cli {
namespace {

constexpr double kBudgets[] = {0.25, 0.5, 0.75};

struct FigureName {
  const char* subject;
  const char* unit;
};
constexpr FigureName kFigures[] = {{"prefill", "tokens/s"},
                                   {"decode", "tokens/s"},
                                   {"hits", "%"},
                                   {"wait", "ms/token"},
                                   {"read", "MB/token"}};

}  // namespace

std::vector<MoeFigure> BenchMoeStore(MoeBenchContext& context) {
  std::vector<MoeFigure> figures;
  const ModelConfig& config = context.config();
  const int32_t k = ExpertsPerToken(context.options.routing, config.experts_per_token);
  for (const double budget : kBudgets) {
    // Below one token's experts of a layer there is nothing to run (experts/expert_budget.h).
    if (budget * config.num_layers * config.num_experts < k) continue;
    RuntimeOptions options = context.options.runtime;
    options.model_path = context.generation.runtime().checkpoint().path;
    options.experts.budget = ExpertBudget{.bytes = std::nullopt, .share = budget};
    const auto runtime = Runtime::Load(options);
    const ExpertStore* store = runtime->experts()->store();
    if (store == nullptr) continue;  // rounding gave every expert a slot
    const size_t first = figures.size();
    for (const FigureName& name : kFigures) {
      MoeFigure figure;
      figure.test = "store";
      figure.subject = fmt::format("{:.0f} % of experts, {}", 100 * budget, name.subject);
      figure.unit = name.unit;
      figures.push_back(std::move(figure));
    }
    for (int32_t run = 0; run <= context.runs(); ++run) {
      const ExpertCacheLayer before = store->counters().Total();
      const RunWatch watch;
      const RequestStats stats = RunMoeRequest(context, runtime->engine(), "experts on demand", run);
      if (run == 0) continue;
      const ExpertCacheLayer after = store->counters().Total();
      const auto hits = static_cast<double>(after.hits - before.hits),
                 uses = static_cast<double>(after.uses() - before.uses());
      const auto prompt = static_cast<double>(stats.prompt_tokens - stats.reused_tokens);
      const auto decoded = static_cast<double>(stats.generated_tokens - 1);
      const double values[] = {
          prompt / stats.prefill_us * 1e6, decoded / stats.decode_us * 1e6, 100.0 * hits / uses,
          (after.stall_microseconds - before.stall_microseconds) / 1e3 / (prompt + decoded),
          static_cast<double>(after.bytes_read - before.bytes_read) / 1e6 / (prompt + decoded)};
      for (size_t i = 0; i < std::size(kFigures); ++i) {
        figures[first + i].samples.push_back({.value = values[i]});
        watch.NoteIn(figures[first + i].samples.back());
      }
    }
  }
  return figures;
}

}  // namespace oxidized::cli
