#include "report/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/memory_registry.h"
#include "base/printable.h"
#include "report/memory_pools.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized {

StageSums Sum(const StageTotals& totals) {
  StageSums sums{.steps = totals.steps};
  for (const StageCost& stage : totals.stages) {
    sums.bytes += stage.bytes;
    sums.microseconds += stage.microseconds;
  }
  return sums;
}

std::string AnswerJson(const FinishedAnswer& answer, const MoeReport* moe, const Runtime* memory) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["text"] = RepairUtf8(answer.text);
  json["reasoning"] = RepairUtf8(answer.reasoning);
  json["stop_reason"] = answer.stop_reason;
  json["seed"] = answer.seed;
  const RequestStats& stats = answer.stats;
  json["tokens"] = {{"prompt", stats.prompt_tokens},
                    {"reused", stats.reused_tokens},
                    {"generated", stats.generated_tokens},
                    {"drafted", stats.drafted_tokens},
                    {"accepted", stats.accepted_tokens}};
  json["timings"] = {{"load_ms", answer.load_ms},
                     {"queue_ms", stats.queue_us / 1e3},
                     {"prefill_ms", stats.prefill_us / 1e3},
                     {"decode_ms", stats.decode_us / 1e3},
                     {"first_token_ms", stats.first_token_us / 1e3}};
  if (moe != nullptr) json["moe"] = MoeJson(*moe, moe->routing->last());
  if (memory != nullptr) {
    Json entries = Json::array();
    for (const MemoryEntry& entry : MemoryEntries())
      entries.push_back(
          {{"owner", entry.owner}, {"class", Name(entry.memory_class)}, {"bytes", entry.bytes}});
    json["memory"] = std::move(entries);
    json["memory_stats"] = MemoryStatsJson(*memory);
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string StageTable(const char* title, const StageTotals& totals) {
  double all_us = 0.0;
  for (const StageCost& stage : totals.stages) all_us += stage.microseconds;
  const double steps = static_cast<double>(std::max<int64_t>(1, totals.steps));
  std::string table =
      fmt::format("{}: {}, {}, {:.3f} ms a step; stages in their order\n{:<14} {:>10} {:>7} {:>8} {:>9}\n",
                  title, Counted(totals.steps, "step"), Counted(totals.rows, "row"), all_us / steps / 1e3,
                  "stage", "ms a step", "share", "GB/s", "GFLOP/s");
  for (const StageCost& stage : totals.stages) {
    const double seconds = std::max(stage.microseconds, 1e-3) / 1e6;
    table += fmt::format("{:<14} {:>10.3f} {:>5.1f} % {:>8.1f} {:>9.1f}\n", stage.stage,
                         stage.microseconds / steps / 1e3, 100.0 * stage.microseconds / all_us,
                         static_cast<double>(stage.bytes) / seconds / 1e9,
                         static_cast<double>(stage.flops) / seconds / 1e9);
  }
  return table;
}

std::string ClosingLine(const FinishedAnswer& answer) {
  const RequestStats& s = answer.stats;
  const auto rate = [](double tokens, double us) { return us > 0.0 ? tokens / (us / 1e6) : 0.0; };
  std::string line = Counted(s.generated_tokens, "token");
  // The first token comes with the last step of the prompt.
  if (s.generated_tokens > 1)
    line += fmt::format(", {:.1f}/s", rate(static_cast<double>(s.generated_tokens - 1), s.decode_us));
  if (answer.decode.bytes > 0 && answer.decode.microseconds > 0.0)
    line += fmt::format(", {:.1f} GB/s",
                        static_cast<double>(answer.decode.bytes) / answer.decode.microseconds / 1e3);
  if (s.drafted_tokens > 0) line += fmt::format(", guessed {} of {}", s.accepted_tokens, s.drafted_tokens);
  if (s.first_token_us > 0.0) line += fmt::format("; first in {:.2f} s", s.first_token_us / 1e6);
  line += s.read_tokens < s.prompt_tokens ? fmt::format("; prompt {} of {}", s.read_tokens, s.prompt_tokens)
                                          : fmt::format("; prompt {}", s.prompt_tokens);
  return line + fmt::format(", reused {}, {:.0f}/s", s.reused_tokens,
                            rate(static_cast<double>(s.read_tokens - s.reused_tokens), s.prefill_us));
}

}  // namespace oxidized
