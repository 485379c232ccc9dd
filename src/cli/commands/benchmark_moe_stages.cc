// The mixture of experts by itself, stage by stage (executor/moe_stages.h), on rows of random numbers.
#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "bench/run_watch.h"
#include "cli/commands/benchmark_moe_sections.h"

namespace oxidized::cli {
namespace {

constexpr int64_t kLayerRows[] = {1, 256};
constexpr int64_t kLoadRows[] = {16, 512};
constexpr int64_t kMostExpertRows = 512, kExpertsASample = 8, kLoadLayers = 4;

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

struct Cost {
  double us = 0.0, bytes = 0.0, flops = 0.0;
  void Add(const StageCost& cost) {
    us += cost.microseconds;
    bytes += static_cast<double>(cost.bytes);
    flops += static_cast<double>(cost.flops);
  }
};

MoeFigure NewFigure(const MoeBenchContext& context, const char* test, std::string subject, int64_t rows) {
  MoeFigure figure;
  figure.test = test;
  figure.subject = std::move(subject);
  figure.rows = rows;
  figure.unit = "us";
  figure.arithmetic_per_s = context.arithmetic_per_s;
  return figure;
}

// Memory's speed at this moment. The stages' threads slept meanwhile; an untimed stage wakes them.
double Probe(MoeBenchContext& context) {
  const double read = context.probe.Measure(0.0);
  context.stages.Router(0);
  return read;
}

// `calls`: what the value is the mean of.
void AddSample(MoeFigure& figure, const Cost& sum, double calls, double read_bytes_per_s) {
  figure.samples.push_back({sum.us / calls, sum.us / 1e6, sum.bytes, sum.flops, read_bytes_per_s});
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

std::vector<MoeFigure> BenchMoeLayers(MoeBenchContext& context) {
  MoeStages& stages = context.stages;
  constexpr const char* kStages[] = {"routing", "dispatch", "experts", "combine"};
  constexpr size_t kCount = std::size(kStages);
  const int32_t layers = context.config().num_layers;
  std::vector<MoeFigure> figures;
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
      Cost all[kCount];
      double used = 0.0;
      for (int32_t layer = 0; layer < layers; ++layer) {
        const StageCost costs[] = {stages.Router(layer), stages.Choose(context.options.routing),
                                   stages.Dispatch(),    stages.GateUp(layer),
                                   stages.Down(layer),   stages.Combine()};
        constexpr size_t kStageOf[] = {0, 0, 1, 2, 2, 3};
        Cost sums[kCount];
        for (size_t i = 0; i < std::size(costs); ++i) {
          sums[kStageOf[i]].Add(costs[i]);
          all[kStageOf[i]].Add(costs[i]);
        }
        used += static_cast<double>(stages.experts_used());
        if (run == 0) continue;
        for (size_t i = 0; i < kCount; ++i) {
          MoeFigure& figure = figures[first + static_cast<size_t>(layer) * kCount + i];
          AddSample(figure, sums[i], 1.0, read);
          figure.experts_used += static_cast<double>(stages.experts_used()) / context.runs();
        }
      }
      for (size_t i = 0; run > 0 && i < kCount; ++i) {
        MoeFigure& figure = figures[first + static_cast<size_t>(layers) * kCount + i];
        AddSample(figure, all[i], 1.0, read);
        figure.experts_used += used / layers / context.runs();
      }
      for (size_t i = first; run > 0 && i < figures.size(); ++i) watch.NoteIn(figures[i].samples.back());
    }
  }
  return figures;
}

std::vector<MoeFigure> BenchMoeExpert(MoeBenchContext& context) {
  MoeStages& stages = context.stages;
  const ModelConfig& config = context.config();
  const int64_t experts = config.all_experts();
  const int64_t calls = std::min(kExpertsASample, experts);
  int64_t next = 0;  // expert of all layers: none is used again before all the others were
  std::vector<MoeFigure> figures;
  for (int64_t rows = 1; rows <= std::min(kMostExpertRows, stages.max_tokens()); rows *= 2) {
    MoeFigure figure = NewFigure(context, "expert", "", rows);
    figure.experts_used = 1.0;
    stages.SetInput(RandomRows(rows, config.hidden_size, 1));
    for (int32_t run = 0; run <= context.runs(); ++run) {
      context.Progress("one expert", run);
      const double read = Probe(context);
      const RunWatch watch;
      Cost sum;
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

std::vector<MoeFigure> BenchMoeLoad(MoeBenchContext& context) {
  MoeStages& stages = context.stages;
  const ModelConfig& config = context.config();
  const int64_t layers = std::min<int64_t>(kLoadLayers, config.num_layers);
  constexpr double kUniform = 0.0, kZipf = 1.0, kAllToOne = 1e6;  // no noise moves a choice of the last
  const struct {
    const char* name;
    double skew;
  } loads[] = {{"uniform", kUniform}, {"zipf", kZipf}, {"all to one", kAllToOne}};
  std::vector<MoeFigure> figures;
  int32_t layer = 0;
  for (const int64_t rows : kLoadRows) {
    stages.SetInput(RandomRows(rows, config.hidden_size, 2));
    for (const auto& load : loads) {
      MoeFigure figure = NewFigure(context, "load", load.name, rows);
      for (int32_t run = 0; run <= context.runs(); ++run) {
        context.Progress("load", run);
        const double read = Probe(context);
        const RunWatch watch;
        Cost sum;
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

}  // namespace oxidized::cli
