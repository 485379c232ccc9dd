// Each run reads a prompt of random tokens and writes some more. The figures are the executor's own stage
// times of those steps, so they are what a real answer pays: routing (router logits and choice), expert
// compute (both expert products and their sum), and the whole step from the outside.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/rng.h"
#include "bench/run_watch.h"
#include "cli/commands/benchmark_moe_sections.h"

namespace oxidized::cli {
namespace {

constexpr int64_t kPromptTokens = 256, kAnswerTokens = 32;

struct Part {
  double us = 0.0, bytes = 0.0, flops = 0.0;
  Part operator-(const Part& o) const { return {us - o.us, bytes - o.bytes, flops - o.flops}; }
  void Add(const StageCost& stage) {
    us += stage.microseconds;
    bytes += static_cast<double>(stage.bytes);
    flops += static_cast<double>(stage.flops);
  }
};
struct Parts {
  Part routing, experts, all;
  double rows = 0.0;
  Parts operator-(const Parts& o) const {
    return {routing - o.routing, experts - o.experts, all - o.all, rows - o.rows};
  }
};

Parts PartsOf(const StageTotals& totals) {
  Parts parts;
  parts.rows = static_cast<double>(totals.rows);
  for (const StageCost& stage : totals.stages) {
    parts.all.Add(stage);
    if (std::strcmp(stage.stage, "router") == 0) parts.routing.Add(stage);
    for (const char* name : {"gate_up", "down", "combine"}) {
      if (std::strcmp(stage.stage, name) == 0) parts.experts.Add(stage);
    }
  }
  return parts;
}

// Another prompt each run: nothing can be reused.
Request MakeRequest(const MoeBenchContext& context, const ExecutorInfo& info, const MoeRequestSize& size,
                    int32_t run) {
  Request request;
  const auto vocabulary = static_cast<uint32_t>(info.vocab_size);
  for (int64_t i = 0; i < size.prompt_tokens; ++i) {
    const uint32_t bits =
        RandomBits(context.options.sampling.seed, static_cast<uint64_t>(run), static_cast<uint64_t>(i))[0];
    request.prompt.push_back(static_cast<int32_t>(bits % vocabulary));
  }
  request.max_new_tokens = size.answer_tokens;
  request.sampling.temperature = 0.0;
  request.routing = context.options.routing;
  return request;
}

}  // namespace

RequestStats RunMoeRequest(const MoeBenchContext& context, Engine& engine, const char* section, int32_t run) {
  const auto id = engine.Submit(MakeRequest(context, engine.info(), RequestSize(engine.info()), run));
  if (!id) throw Error(id.error().kind, id.error().message);
  for (;;) {
    context.Progress(section, run);
    engine.Step();
    for (Event& event : engine.TakeEvents(*id)) {
      auto* finished = std::get_if<Finished>(&event);
      if (finished == nullptr) continue;
      if (finished->error) throw Error(finished->error->kind, finished->error->message);
      return std::move(finished->stats);
    }
  }
}

MoeRequestSize RequestSize(const ExecutorInfo& info) {
  const int64_t prompt = std::min(kPromptTokens, info.max_context / 2);
  return {prompt, std::min(kAnswerTokens, info.max_context - prompt)};
}

std::vector<MoeFigure> BenchMoeEndToEnd(MoeBenchContext& context) {
  Engine& engine = context.generation.runtime().engine();
  std::vector<MoeFigure> figures(7);
  const char* const names[][3] = {
      {"prefill", "routing", "us/token"},       {"prefill", "expert compute", "us/token"},
      {"prefill", "end to end", "tokens/s"},    {"decode", "routing", "us/token"},
      {"decode", "expert compute", "us/token"}, {"decode", "expert weights", "GB/s"},
      {"decode", "end to end", "tokens/s"}};
  for (size_t i = 0; i < figures.size(); ++i) {
    figures[i].test = names[i][0];
    figures[i].subject = names[i][1];
    figures[i].unit = names[i][2];
    figures[i].arithmetic_per_s = context.arithmetic_per_s;
  }
  for (int32_t run = 0; run <= context.runs(); ++run) {
    const double read = context.probe.Measure(0.0);
    const Parts prefill_before = PartsOf(engine.prefill_totals()),
                decode_before = PartsOf(engine.decode_totals());
    const RunWatch watch;
    const RequestStats stats = RunMoeRequest(context, engine, "end to end", run);
    if (run == 0) continue;
    const Parts prefill = PartsOf(engine.prefill_totals()) - prefill_before;
    const Parts decode = PartsOf(engine.decode_totals()) - decode_before;
    const auto add = [&](MoeFigure& figure, double value, const Part& part, double us) {
      figure.samples.push_back({value, us / 1e6, part.bytes, part.flops, read});
      watch.NoteIn(figure.samples.back());
    };
    const auto prompt = static_cast<double>(stats.prompt_tokens - stats.reused_tokens);
    add(figures[0], prefill.routing.us / prefill.rows, prefill.routing, prefill.routing.us);
    add(figures[1], prefill.experts.us / prefill.rows, prefill.experts, prefill.experts.us);
    add(figures[2], prompt / stats.prefill_us * 1e6, prefill.all, stats.prefill_us);
    add(figures[3], decode.routing.us / decode.rows, decode.routing, decode.routing.us);
    add(figures[4], decode.experts.us / decode.rows, decode.experts, decode.experts.us);
    add(figures[5], decode.experts.bytes / decode.experts.us / 1e3, decode.experts, decode.experts.us);
    add(figures[6], static_cast<double>(stats.generated_tokens - 1) / stats.decode_us * 1e6, decode.all,
        stats.decode_us);
    context.routing.Add(stats.routing);
  }
  return figures;
}

}  // namespace oxidized::cli
