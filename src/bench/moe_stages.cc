// The mixture of experts by itself, stage by stage (executor/moe_stages.h), on rows of random numbers.
#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "bench/moe_sections.h"
#include "bench/run_watch.h"
#include "report/stage_parts.h"

namespace oxidized {
namespace {

constexpr int64_t kLayerRows[] = {1, 256};
constexpr int64_t kLoadRows[] = {16, 512};
constexpr int64_t kExpertsASample = 8, kLoadLayers = 4;

// Standard normal, as rows are after a norm: the sum of 4 uniforms, scaled.
std::vector<float> RandomRows(int64_t rows, int64_t width, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(rows * width));
  for (size_t i = 0; i < values.size(); ++i) {
    double sum = 0.0;
    for (const uint32_t bits : RandomBits(seed, 11, i)) sum += static_cast<double>(bits) * 0x1.0p-32 - 0.5;
    values[i] = static_cast<float>(sum * 1.7320508);
  }
  return values;
}

Figure NewFigure(const MoeBenchContext& context, const char* test, std::string subject, int64_t rows) {
  return {.test = test,
          .subject = std::move(subject),
          .rows = rows,
          .unit = "us",
          .arithmetic_per_s = context.result.arithmetic_per_s};
}

// Memory's speed at this moment. The stages' threads slept meanwhile; an untimed stage wakes them.
double Probe(MoeBenchContext& context) {
  const double read = context.machine.probe().Measure(0.0);
  context.settings.stages.Router(0);
  return read;
}

// `calls`: what the value is the mean of.
void AddSample(Figure& figure, const StageSum& sum, double calls, double read_bytes_per_s) {
  figure.samples.push_back(
      {sum.microseconds / calls, sum.microseconds / 1e6, sum.bytes, sum.flops, read_bytes_per_s});
}

}  // namespace

std::vector<float> SkewedLogits(int64_t rows, int32_t experts, double skew, uint64_t seed) {
  std::vector<float> logits;
  for (int64_t t = 0; t < rows; ++t) {
    for (int32_t e = 0; e < experts; ++e) {
      const auto place = static_cast<uint64_t>(t * experts + e);
      const double uniform = std::max(RandomUniform(seed, 12, place), 1e-300);
      logits.push_back(static_cast<float>(-skew * std::log(1.0 + e) - std::log(-std::log(uniform))));
    }
  }
  return logits;
}

std::vector<Figure> BenchMoeLayers(MoeBenchContext& context) {
  MoeStages& stages = context.settings.stages;
  constexpr const char* kStages[] = {"routing", "dispatch", "experts", "combine"};
  constexpr size_t kCount = std::size(kStages);
  const int32_t layers = context.config().num_layers;
  std::vector<Figure> figures;
  for (const int64_t rows : kLayerRows) {
    const size_t first = figures.size();
    for (int32_t layer = 0; layer <= layers; ++layer) {
      for (const char* stage : kStages) {
        figures.push_back(NewFigure(context, "layers", stage, rows));
        figures.back().layer = layer < layers ? layer : -1;
      }
    }
    for (int32_t run = 0; run <= context.runs(); ++run) {
      context.Progress("layers", run);
      stages.SetInput(RandomRows(rows, context.config().hidden_size, static_cast<uint64_t>(run)));
      const double read = Probe(context);
      const RunWatch watch;
      StageSum all[kCount];
      double used = 0.0;
      for (int32_t layer = 0; layer < layers; ++layer) {
        const StageCost costs[] = {stages.Router(layer), stages.Choose(context.settings.routing),
                                   stages.Dispatch(),    stages.GateUp(layer),
                                   stages.Down(layer),   stages.Combine()};
        constexpr size_t kStageOf[] = {0, 0, 1, 2, 2, 3};
        StageSum sums[kCount];
        for (size_t i = 0; i < std::size(costs); ++i) {
          sums[kStageOf[i]].Add(costs[i]);
          all[kStageOf[i]].Add(costs[i]);
        }
        used += static_cast<double>(stages.experts_used());
        if (run == 0) continue;
        for (size_t i = 0; i < kCount; ++i) {
          Figure& figure = figures[first + static_cast<size_t>(layer) * kCount + i];
          AddSample(figure, sums[i], 1.0, read);
          figure.experts_used += static_cast<double>(stages.experts_used()) / context.runs();
        }
      }
      for (size_t i = 0; run > 0 && i < kCount; ++i) {
        Figure& figure = figures[first + static_cast<size_t>(layers) * kCount + i];
        AddSample(figure, all[i], 1.0, read);
        figure.experts_used += used / layers / context.runs();
      }
      for (size_t i = first; run > 0 && i < figures.size(); ++i) watch.NoteIn(figures[i].samples.back());
    }
  }
  return figures;
}

std::vector<Figure> BenchMoeExpert(MoeBenchContext& context) {
  MoeStages& stages = context.settings.stages;
  const ModelConfig& config = context.config();
  const int64_t experts = config.all_experts();
  const int64_t calls = std::min(kExpertsASample, experts);
  int64_t next = 0;  // expert of all layers: none is used again before all the others were
  std::vector<Figure> figures;
  for (int64_t rows = 1; rows <= stages.max_tokens(); rows *= 2) {
    Figure figure = NewFigure(context, "expert", "", rows);
    figure.experts_used = 1.0;
    stages.SetInput(RandomRows(rows, config.hidden_size, 1));
    for (int32_t run = 0; run <= context.runs(); ++run) {
      context.Progress("one expert", run);
      const double read = Probe(context);
      const RunWatch watch;
      StageSum sum;
      for (int64_t call = 0; call < calls; ++call, ++next) {
        const auto layer = static_cast<int32_t>(next % config.num_layers);
        const auto expert = static_cast<int32_t>(next / config.num_layers % config.layer(layer).num_experts);
        stages.SetChoices(std::vector<int32_t>(static_cast<size_t>(rows), expert));
        stages.Dispatch();
        sum.Add(stages.GateUp(layer));
        sum.Add(stages.Down(layer));
      }
      if (run == 0) continue;
      AddSample(figure, sum, static_cast<double>(calls), read);
      watch.NoteIn(figure.samples.back());
    }
    figures.push_back(std::move(figure));
  }
  return figures;
}

std::vector<Figure> BenchMoeLoad(MoeBenchContext& context) {
  MoeStages& stages = context.settings.stages;
  const ModelConfig& config = context.config();
  const int64_t layers = std::min<int64_t>(kLoadLayers, config.num_layers);
  constexpr double kUniform = 0.0, kZipf = 1.0, kAllToOne = 1e6;  // no noise moves a choice of the last
  const struct {
    const char* name;
    double skew;
  } loads[] = {{"uniform", kUniform}, {"zipf", kZipf}, {"all to one", kAllToOne}};
  std::vector<Figure> figures;
  int32_t layer = 0;
  for (const int64_t rows : kLoadRows) {
    stages.SetInput(RandomRows(rows, config.hidden_size, 2));
    for (const auto& load : loads) {
      Figure figure = NewFigure(context, "load", load.name, rows);
      for (int32_t run = 0; run <= context.runs(); ++run) {
        context.Progress("load", run);
        const double read = Probe(context);
        const RunWatch watch;
        StageSum sum;
        double used = 0.0;
        for (int64_t call = 0; call < layers; ++call, layer = (layer + 1) % config.num_layers) {
          stages.SetLogits(SkewedLogits(rows, config.layer(layer).num_experts, load.skew,
                                        static_cast<uint64_t>(run * layers + call)));
          sum.Add(stages.Choose({}));
          sum.Add(stages.Dispatch());
          sum.Add(stages.GateUp(layer));
          sum.Add(stages.Down(layer));
          sum.Add(stages.Combine());
          used += static_cast<double>(stages.experts_used());
        }
        if (run == 0) continue;
        AddSample(figure, sum, static_cast<double>(layers), read);
        watch.NoteIn(figure.samples.back());
        figure.experts_used += used / static_cast<double>(layers) / context.runs();
      }
      figures.push_back(std::move(figure));
    }
  }
  return figures;
}

}  // namespace oxidized
