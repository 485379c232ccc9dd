#include "cli/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/memory_registry.h"
#include "base/process.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized::cli {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

}  // namespace

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
  std::string table = "layer  choices  busiest expert  share   max/mean  unused  dropped  rerouted\n";
  for (size_t l = 0; l < routing.layers().size(); ++l) {
    const LayerRouting& layer = routing.layers()[l];
    const int64_t total = std::accumulate(layer.counts.begin(), layer.counts.end(), int64_t{0});
    const auto busiest = std::max_element(layer.counts.begin(), layer.counts.end());
    const double share = total > 0 ? static_cast<double>(*busiest) / static_cast<double>(total) : 0.0;
    table += fmt::format(
        "{:5}  {:7}  {:14}  {:4.1f} %  {:8.2f}  {:6}  {:7}  {:8}\n", l, total, busiest - layer.counts.begin(),
        100.0 * share, share * static_cast<double>(layer.counts.size()),
        std::count(layer.counts.begin(), layer.counts.end(), 0), layer.dropped, layer.rerouted);
  }
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

std::string MemoryTable() {
  std::string table = fmt::format("{:>12}  {:<12}{}\n", "MiB", "class", "owner");
  for (const MemoryEntry& entry : MemoryEntries()) {
    table += fmt::format("{:12.1f}  {:<12}{}\n", static_cast<double>(entry.bytes) / kMiB,
                         Name(entry.memory_class), entry.owner);
  }
  table += "(reserved address space; pages never touched use no memory)\n";
  const ProcessMemory process = ReadProcessMemory();
  const auto mib = [](int64_t bytes) { return static_cast<double>(bytes) / kMiB; };
  table += fmt::format("process: resident {:.1f} MiB (anonymous {:.1f}, files {:.1f}), peak {:.1f}\n",
                       mib(process.resident_bytes), mib(process.anonymous_bytes), mib(process.file_bytes),
                       mib(process.peak_bytes));
  return table;
}

}  // namespace oxidized::cli
