#include "cli/commands/dry_run.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/printable.h"
#include "base/text_table.h"
#include "cli/commands/terminal_model.h"
#include "cli/terminal/terminal.h"
#include "model_host/plan.h"

namespace oxidized::cli {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr const char* kAssumption =
    "uniform routing, reading and computing one after the other; real routing repeats itself more, and "
    "prefetching overlaps a part";

std::string Size(double bytes) {
  return bytes >= 0.1 * kGiB ? fmt::format("{:.2f} GiB", bytes / kGiB)
                             : fmt::format("{:.1f} MiB", bytes / 1048576.0);
}
std::string Size(int64_t bytes) { return Size(static_cast<double>(bytes)); }

// What to do, best first; empty: nothing.
std::vector<std::string> Advice(const RuntimePlan& r) {
  std::vector<std::string> advice;
  const PlanInput& in = r.device.input;
  if (r.device.memory.fits) {
    if (in.slots > 0 && r.device.memory.everything_fits)
      advice.push_back("everything fits: leave out --expert-memory and no expert is read twice");
    return advice;
  }
  if (r.device.memory.fitting_slots > 0) {
    advice.push_back(
        fmt::format("--expert-memory {}MiB keeps {} of {} experts in memory and reads the others",
                    r.device.memory.fitting_slots * in.slot_bytes / 1048576 + 1,
                    r.device.memory.fitting_slots, in.experts));
  }
  const int64_t shorter = r.context * 3 / 4;
  if (in.kv_bytes > in.available_bytes / 20 && shorter > 4096)
    advice.push_back(fmt::format(
        "--context N: the whole context's KV takes {}; what is not used is not taken", Size(in.kv_bytes)));
  if (r.device.memory.fitting_slots == 0) {
    const int64_t least = in.dense_bytes + in.kv_bytes + in.activation_bytes + in.heap_bytes +
                          in.own_expert_bytes + in.least_slots * in.slot_bytes;
    advice.push_back(fmt::format(
        "free at least {}: the dense weights, KV and {} must fit", Size(least - in.available_bytes),
        in.own_expert_bytes > 0
            ? fmt::format("the experts {}", r.mapped ? "that are decoded" : "read into memory")
            : "one token's experts"));
  }
  return advice;
}

// How weights come into memory, of which `own` bytes are not mapped.
std::string Where(const RuntimePlan& r, int64_t bytes, int64_t own) {
  if (!r.mapped || r.device.input.slots > 0) return "read into memory when opened";
  if (own == 0) return "mapped; pages arrive when touched";
  if (own >= bytes) return "decoded when opened, in memory of their own";
  return fmt::format("{} decoded when opened, in memory of their own; the rest mapped", Size(own));
}

std::string Text(const RuntimePlan& r) {
  const PlanInput& in = r.device.input;
  const MemoryPlan& plan = r.device.memory;
  std::string text = fmt::format("{} ({})\nmemory, weights first:\n", EscapeUnprintable(r.model), r.format);
  const auto line = [&text](const std::string& what, int64_t bytes, const std::string& remark) {
    const std::string row = fmt::format("  {:<24}{:>12}", what, Size(bytes));
    text += (remark.empty() ? row : WrapBehind(row + "  ", remark, kTableColumns)) + '\n';
  };
  const auto say = [&text](const std::string& what) { text += WrapBehind("  ", what, kTableColumns) + '\n'; };
  const int64_t unpacked = in.dense_bytes - r.device.packed_bytes;
  const bool packed_own = !r.device.packed_mapped || !r.mapped || in.slots > 0;
  line("dense weights", unpacked,
       Where(r, unpacked, in.own_dense_bytes - (packed_own ? r.device.packed_bytes : 0)));
  if (r.device.packed_bytes > 0)
    line("packed dense weights", r.device.packed_bytes,
         r.device.packed_mapped
             ? Where(r, r.device.packed_bytes, 0) +
                   (r.device.packed_compared ? "" : "; not compared with values decoded when opened")
             : "at least; packed when opened, in memory of their own");
  if (in.slots > 0) {
    const int64_t stored = in.experts - in.own_experts;
    line("expert pool", plan.pool_bytes,
         fmt::format("{} for {} ({:.1f} %), {} each", Counted(in.slots, "slot"), Counted(stored, "expert"),
                     100.0 * static_cast<double>(in.slots) / static_cast<double>(stored),
                     Size(in.slot_bytes)));
    if (in.own_experts > 0)
      line("decoded experts", in.own_expert_bytes,
           fmt::format("{} of them, in memory of their own", in.own_experts));
  } else {
    line("experts", in.expert_bytes,
         fmt::format("all {} of them, {}", in.experts, Where(r, in.expert_bytes, in.own_expert_bytes)));
  }
  line("KV cache", in.kv_bytes, fmt::format("for all {} tokens of context; taken as they come", r.context));
  line("activations", in.activation_bytes, "of the largest step; taken as rows are used");
  line("tokenizer and the rest", in.heap_bytes, "an allowance");
  line("needed", plan.needed_bytes, "");
  line("available", in.available_bytes,
       r.limit ? fmt::format("under a limit of {} on this process", Size(r.limit->limit_bytes)) : "");
  text += plan.fits ? "It fits.\n" : "It does not fit.\n";
  say(fmt::format("memory reads {:.1f} GB/s, the disk {:.2f} GB/s ({})", in.memory_bytes_per_s / 1e9,
                  in.disk_bytes_per_s / 1e9, r.device.disk_method));
  say(fmt::format(
      "a token reads {:.2f} GB; experts are in memory {:.1f} % of the times, {:.3f} GB come from the disk",
      static_cast<double>(in.decode_dense_bytes + in.decode_expert_bytes) / 1e9, 100.0 * plan.hit_rate,
      plan.disk_bytes_per_token / 1e9));
  say(fmt::format("expected: at most {:.2f} tokens/s ({})", plan.tokens_per_s, kAssumption));
  for (const std::string& advice : Advice(r)) say(advice);
  return text;
}

std::string Json(const RuntimePlan& r) {
  const PlanInput& in = r.device.input;
  const MemoryPlan& plan = r.device.memory;
  nlohmann::ordered_json json;
  json["model"] = r.model;
  json["format"] = r.format;
  json["fits"] = plan.fits;
  json["bytes"] = {{"needed", plan.needed_bytes},
                   {"available", in.available_bytes},
                   {"dense_weights", in.dense_bytes},
                   {"experts", in.expert_bytes},
                   {"expert_pool", plan.pool_bytes},
                   {"kv", in.kv_bytes},
                   {"activations", in.activation_bytes},
                   {"rest", in.heap_bytes},
                   {"packed_dense_weights", r.device.packed_bytes},
                   {"own_dense_weights", in.own_dense_bytes},
                   {"own_experts", in.own_expert_bytes}};
  json["limit_bytes"] = r.limit ? nlohmann::ordered_json(r.limit->limit_bytes) : nlohmann::ordered_json();
  json["packed_compared"] =
      r.device.packed_mapped ? nlohmann::ordered_json(r.device.packed_compared) : nullptr;
  json["context"] = r.context;
  json["experts"] = {{"all", in.experts},
                     {"resident", in.slots > 0 ? in.slots + in.own_experts : in.experts},
                     {"slot_bytes", in.slot_bytes},
                     {"most_that_fit", plan.fitting_slots}};
  json["speed"] = {{"memory_bytes_per_s", in.memory_bytes_per_s},
                   {"disk_bytes_per_s", in.disk_bytes_per_s},
                   {"disk_method", r.device.disk_method},
                   {"bytes_per_token", in.decode_dense_bytes + in.decode_expert_bytes},
                   {"disk_bytes_per_token", plan.disk_bytes_per_token},
                   {"hit_rate", plan.hit_rate},
                   {"tokens_per_s", plan.tokens_per_s},
                   {"assumption", kAssumption}};
  json["advice"] = Advice(r);
  return json.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

int RunDryRun(const GenerateOptions& options) {
  const RuntimePlan plan = PlanRuntime(options.runtime);
  CheckRouting(options.routing, plan.config);
  WarnOfRouting(options.routing, plan.config);
  WriteAnswer(options.json ? Json(plan) : Text(plan));
  return plan.device.memory.fits ? 0 : static_cast<int>(ErrorKind::kNoMemory);
}

}  // namespace oxidized::cli
