// Each run reads a prompt of random tokens and writes some more. The figures are the executor's own stage
// times of those steps, so they are what a real answer pays: routing (router logits and choice), expert
// compute (both expert products and their sum), and the whole step from the outside.
#include <algorithm>

#include "bench/moe_sections.h"
#include "bench/requests.h"
#include "bench/run_watch.h"
#include "report/stage_parts.h"

namespace oxidized {
namespace {

constexpr int64_t kPromptTokens = 256, kAnswerTokens = 32;

// Expert compute: both products and their weighted sum.
StageSum ExpertsAndSum(const StageParts& parts) {
  StageSum sum = parts.experts;
  sum.Add(parts.combine);
  return sum;
}

}  // namespace

MoeRequestSize MoeRequestSizeOf(const ExecutorInfo& info) {
  const int64_t prompt = std::min(kPromptTokens, info.max_context / 2);
  return {prompt, std::min(kAnswerTokens, info.max_context - prompt)};
}

// Another prompt each run: nothing can be reused.
RequestStats RunMoeRequest(const MoeBenchContext& context, EngineLoop& loop, const char* section,
                           int32_t run) {
  context.Progress(section, run);
  BenchRequests requests(loop, context.settings.seed);
  const MoeRequestSize size = MoeRequestSizeOf(loop.info());
  Request request = requests.Make(requests.RandomTokens(static_cast<uint64_t>(run), size.prompt_tokens),
                                  size.answer_tokens);
  request.routing = context.settings.routing;
  return requests.Run(std::move(request)).stats;
}

std::vector<Figure> BenchMoeEndToEnd(MoeBenchContext& context) {
  EngineLoop& loop = context.settings.runtime.loop();
  BenchRequests requests(loop, context.settings.seed);
  std::vector<Figure> figures(7);
  const char* const names[][3] = {
      {"prefill", "routing", "us/token"},       {"prefill", "expert compute", "us/token"},
      {"prefill", "end to end", "tokens/s"},    {"decode", "routing", "us/token"},
      {"decode", "expert compute", "us/token"}, {"decode", "expert weights", "GB/s"},
      {"decode", "end to end", "tokens/s"}};
  for (size_t i = 0; i < figures.size(); ++i) {
    figures[i].test = names[i][0];
    figures[i].subject = names[i][1];
    figures[i].unit = names[i][2];
    figures[i].arithmetic_per_s = context.result.arithmetic_per_s;
  }
  for (int32_t run = 0; run <= context.runs(); ++run) {
    const double read = context.machine.probe().Measure(0.0);
    const BenchTotals before = requests.Totals();
    const RunWatch watch;
    const RequestStats stats = RunMoeRequest(context, loop, "end to end", run);
    if (run == 0) continue;
    const BenchTotals totals = requests.Totals() - before;
    const StageParts prefill = PartsOf(totals.prefill), decode = PartsOf(totals.decode);
    const auto add = [&](Figure& figure, double value, const StageSum& part, double us) {
      figure.samples.push_back({value, us / 1e6, part.bytes, part.flops, read});
      watch.NoteIn(figure.samples.back());
    };
    const auto by_token = [&](Figure& figure, const StageSum& part, const StageTotals& of) {
      add(figure, part.microseconds / static_cast<double>(of.rows), part, part.microseconds);
    };
    const StageSum prefill_experts = ExpertsAndSum(prefill), decode_experts = ExpertsAndSum(decode);
    const auto prompt = static_cast<double>(stats.prompt_tokens - stats.reused_tokens);
    by_token(figures[0], prefill.routing, totals.prefill);
    by_token(figures[1], prefill_experts, totals.prefill);
    add(figures[2], prompt / stats.prefill_us * 1e6, prefill.all, stats.prefill_us);
    by_token(figures[3], decode.routing, totals.decode);
    by_token(figures[4], decode_experts, totals.decode);
    add(figures[5], decode_experts.bytes / decode_experts.microseconds / 1e3, decode_experts,
        decode_experts.microseconds);
    add(figures[6], static_cast<double>(stats.generated_tokens - 1) / stats.decode_us * 1e6, decode.all,
        stats.decode_us);
    context.result.routing.Add(stats.routing);
  }
  return figures;
}

}  // namespace oxidized
