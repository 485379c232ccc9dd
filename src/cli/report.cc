#include "cli/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/memory_registry.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized::cli {
namespace {

struct Load {
  int64_t total = 0, busiest_count = 0;
  size_t busiest = 0;
  int64_t idle = 0;
  double max_over_mean = 0.0, variation = 0.0;
};

Load LoadOf(const std::vector<int64_t>& counts) {
  Load load;
  load.total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  if (counts.empty()) return load;
  const auto busiest = std::max_element(counts.begin(), counts.end());
  load.busiest = static_cast<size_t>(busiest - counts.begin());
  load.busiest_count = *busiest;
  load.idle = std::count(counts.begin(), counts.end(), 0);
  if (load.total == 0) return load;
  const double mean = static_cast<double>(load.total) / static_cast<double>(counts.size());
  double squares = 0.0;
  for (const int64_t count : counts)
    squares += (static_cast<double>(count) - mean) * (static_cast<double>(count) - mean);
  load.max_over_mean = static_cast<double>(load.busiest_count) / mean;
  load.variation = std::sqrt(squares / static_cast<double>(counts.size())) / mean;
  return load;
}

// A bar for each expert, full height for the busiest one; a space is an expert never used.
std::string Strip(const std::vector<int64_t>& counts, int64_t most) {
  std::string strip;
  for (const int64_t count : counts) {
    if (count == 0) {
      strip += ' ';
    } else {
      const int64_t eighth = (count * 8 + most - 1) / most;  // 1..8
      strip += {static_cast<char>(0xE2), static_cast<char>(0x96), static_cast<char>(0x80 + eighth)};
    }
  }
  return strip;
}

}  // namespace

StageSums Sum(const StageTotals& totals) {
  StageSums sums{.steps = totals.steps};
  for (const StageCost& stage : totals.stages) {
    sums.bytes += stage.bytes;
    sums.microseconds += stage.microseconds;
  }
  return sums;
}

std::string OutcomeJson(const Outcome& outcome) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["text"] = RepairUtf8(outcome.text);
  json["reasoning"] = RepairUtf8(outcome.reasoning);
  json["stop_reason"] = outcome.stop_reason;
  json["seed"] = outcome.seed;
  const RequestStats& stats = outcome.stats;
  json["tokens"] = {{"prompt", stats.prompt_tokens},
                    {"reused", stats.reused_tokens},
                    {"generated", stats.generated_tokens}};
  json["timings"] = {{"load_ms", outcome.load_ms},
                     {"queue_ms", stats.queue_us / 1e3},
                     {"prefill_ms", stats.prefill_us / 1e3},
                     {"decode_ms", stats.decode_us / 1e3},
                     {"first_token_ms", stats.first_token_us / 1e3}};
  Json layers = Json::array();
  for (const LayerRouting& layer : stats.routing.layers()) {
    layers.push_back({{"counts", layer.counts}, {"dropped", layer.dropped}, {"rerouted", layer.rerouted}});
  }
  json["moe"] = {{"layers", std::move(layers)}};
  Json memory = Json::array();
  for (const MemoryEntry& entry : MemoryEntries()) {
    memory.push_back({{"owner", entry.owner}, {"class", Name(entry.memory_class)}, {"bytes", entry.bytes}});
  }
  json["memory"] = std::move(memory);
  return json.dump();
}

std::string RoutingTable(const RoutingStats& routing) {
  std::string table = "layer choices   busiest  share max/mean   CV idle dropped rerouted  load";
  const auto row = [&table](const std::string& name, const LayerRouting& layer) {
    const Load load = LoadOf(layer.counts);
    const double share =
        load.total > 0 ? static_cast<double>(load.busiest_count) / static_cast<double>(load.total) : 0.0;
    table += fmt::format("\n{:>5}{:8}{:>10}{:5.1f} %{:9.2f}{:5.2f}{:5}{:8}{:9}  |{}|", name, load.total,
                         fmt::format("{}:{}", load.busiest, load.busiest_count), 100.0 * share,
                         load.max_over_mean, load.variation, load.idle, layer.dropped, layer.rerouted,
                         Strip(layer.counts, std::max<int64_t>(1, load.busiest_count)));
  };
  LayerRouting all;
  for (size_t l = 0; l < routing.layers().size(); ++l) {
    const LayerRouting& layer = routing.layers()[l];
    row(std::to_string(l), layer);
    all.counts.resize(layer.counts.size());
    for (size_t e = 0; e < layer.counts.size(); ++e) all.counts[e] += layer.counts[e];
    all.dropped += layer.dropped;
    all.rerouted += layer.rerouted;
  }
  row("all", all);
  return table;
}

std::string StageTable(const char* title, const StageTotals& totals) {
  double all_us = 0.0;
  for (const StageCost& stage : totals.stages) all_us += stage.microseconds;
  const double steps = static_cast<double>(std::max<int64_t>(1, totals.steps));
  std::string table = fmt::format(
      "{}: {} steps, {} rows, {:.3f} ms a step\n{:<14} {:>10} {:>7} {:>8} {:>9}\n", title, totals.steps,
      totals.rows, all_us / steps / 1e3, "stage", "ms a step", "share", "GB/s", "GFLOP/s");
  for (const StageCost& stage : totals.stages) {
    const double seconds = std::max(stage.microseconds, 1e-3) / 1e6;
    table += fmt::format("{:<14} {:>10.3f} {:>5.1f} % {:>8.1f} {:>9.1f}\n", stage.stage,
                         stage.microseconds / steps / 1e3, 100.0 * stage.microseconds / all_us,
                         static_cast<double>(stage.bytes) / seconds / 1e9,
                         static_cast<double>(stage.flops) / seconds / 1e9);
  }
  return table;
}

std::string ClosingLine(const Outcome& outcome) {
  const RequestStats& s = outcome.stats;
  const auto rate = [](double tokens, double us) { return us > 0.0 ? tokens / (us / 1e6) : 0.0; };
  std::string line = fmt::format("{} tokens", s.generated_tokens);
  // The first token comes with the last step of the prompt.
  if (s.generated_tokens > 1)
    line += fmt::format(", {:.1f}/s", rate(static_cast<double>(s.generated_tokens - 1), s.decode_us));
  if (outcome.decode.bytes > 0 && outcome.decode.microseconds > 0.0)
    line += fmt::format(", {:.1f} GB/s",
                        static_cast<double>(outcome.decode.bytes) / outcome.decode.microseconds / 1e3);
  if (s.first_token_us > 0.0) line += fmt::format("; first in {:.2f} s", s.first_token_us / 1e6);
  return line + fmt::format("; prompt {}, reused {}, {:.0f}/s", s.prompt_tokens, s.reused_tokens,
                            rate(static_cast<double>(s.prompt_tokens - s.reused_tokens), s.prefill_us));
}

std::string CutInReasoning(const Outcome& outcome) {
  return fmt::format(
      "the {} tokens ended inside the reasoning, before an answer: allow more with --max-tokens, or "
      "ask for less with --reasoning-effort low",
      outcome.stats.generated_tokens);
}

}  // namespace oxidized::cli
