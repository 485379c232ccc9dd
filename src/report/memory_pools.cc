#include "report/memory_pools.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "report/memory_report.h"

namespace oxidized {
namespace {

using Json = nlohmann::ordered_json;

std::vector<KvPoolUse> KvPoolsOf(const Runtime& runtime) {
  return runtime.loop().Call([](const Engine& engine) { return engine.KvPools(); });
}

// The cleaner runs between steps, on the loop's thread.
std::optional<CleanupCounts> CleanupOf(const Runtime& runtime) {
  const CleanupCounts* counts = runtime.device().cleanup();
  if (counts == nullptr) return std::nullopt;
  return runtime.loop().Call([counts](const Engine&) { return *counts; });
}

double Mib(int64_t bytes) { return static_cast<double>(bytes) / 1048576.0; }

}  // namespace

std::string PoolTable(const Runtime& runtime) {
  std::string table = fmt::format("{:<30}{:>10}{:>10}{:>10}", "pool", "in use", "most", "of");
  for (const KvPoolUse& pool : KvPoolsOf(runtime)) {
    const std::string name =
        pool.window == 0 ? "KV blocks, full attention" : fmt::format("KV blocks, window of {}", pool.window);
    table += fmt::format("\n{:<30}{:>10}{:>10}{:>10}", name, pool.held, pool.most_held, pool.blocks);
  }
  if (const ExpertStore* store = runtime.device().expert_store()) {
    const ExpertCacheCounters counters = store->counters();
    const ExpertCacheLayer all = counters.Total();
    table += fmt::format("\n{:<30}{:>10}{:>10}{:>10}", "expert slots", counters.resident_experts,
                         store->most_resident(), counters.budget_experts);
    table += fmt::format(
        "\nexpert store ({}, {}): {} of {} found their expert ({:.1f} %), {} found it being read\n"
        "  {:.1f} MiB read, {}, {:.3f} s waited; {} of {} used",
        store->eviction_name(), store->reader_name(), all.hits, Counted(all.uses(), "use"),
        100.0 * all.hit_rate(), all.late, Mib(all.bytes_read), Counted(all.evictions, "eviction"),
        all.stall_microseconds / 1e6, all.prefetch_hits, Counted(all.prefetches, "prefetch"));
    // Experts that cost most: the ones a larger budget would spare.
    const std::vector<ExpertAccount> accounts = store->accounts();
    std::vector<size_t> order(accounts.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const size_t shown = std::min<size_t>(5, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
                      [&](size_t a, size_t b) { return accounts[a].bytes_read > accounts[b].bytes_read; });
    const auto per_layer = static_cast<size_t>(store->map().num_experts());
    table += "\n  most read (layer.expert: MiB read, uses):";
    for (size_t i = 0; i < shown; ++i) {
      const ExpertAccount& account = accounts[order[i]];
      table += fmt::format("{} {}.{}: {:.1f}, {}", i == 0 ? "" : ";", order[i] / per_layer,
                           order[i] % per_layer, Mib(account.bytes_read), account.uses);
    }
  }
  const auto cleanup = CleanupOf(runtime);
  if (!cleanup) return table;
  table += fmt::format("\nclean-up: {} in {:.1f} ms gave back {:.1f} MiB of heap and {:.1f} MiB of {}",
                       Counted(cleanup->runs, "run"), cleanup->microseconds / 1e3, Mib(cleanup->heap_bytes),
                       Mib(cleanup->expert_bytes), Counted(cleanup->cold_experts, "cold expert"));
  return table;
}

Json MemoryStatsJson(const Runtime& runtime) {
  const MemoryAccount account = AccountMemory();
  Json json;
  json["process"] = {
      {"resident", account.process_bytes}, {"peak", account.peak_bytes}, {"accounted", account.sum_bytes}};
  Json classes = Json::array();
  for (const MemoryLine& line : account.lines)
    classes.push_back({{"class", line.memory_class},
                       {"what", line.what},
                       {"resident", line.resident_bytes},
                       {"reserved", line.reserved_bytes}});
  json["classes"] = std::move(classes);
  Json kv = Json::array();
  for (const KvPoolUse& pool : KvPoolsOf(runtime))
    kv.push_back({{"window", pool.window},
                  {"blocks", pool.blocks},
                  {"held", pool.held},
                  {"most_held", pool.most_held}});
  json["kv"] = std::move(kv);
  json["expert_store"] = nullptr;
  json["cleanup"] = nullptr;
  if (const ExpertStore* store = runtime.device().expert_store()) {
    const ExpertCacheCounters counters = store->counters();
    const ExpertCacheLayer all = counters.Total();
    Json per_expert = Json::array();
    for (const ExpertAccount& expert : store->accounts())
      per_expert.push_back({{"resident", expert.resident},
                            {"uses", expert.uses},
                            {"misses", expert.misses},
                            {"bytes_read", expert.bytes_read}});
    json["expert_store"] = {{"eviction", store->eviction_name()},
                            {"reader", store->reader_name()},
                            {"slots", counters.budget_experts},
                            {"slot_bytes", store->slot_bytes()},
                            {"resident", counters.resident_experts},
                            {"hits", all.hits},
                            {"late", all.late},
                            {"misses", all.misses},
                            {"hit_rate", all.hit_rate()},
                            {"prefetches", all.prefetches},
                            {"prefetch_hits", all.prefetch_hits},
                            {"evictions", all.evictions},
                            {"bytes_read", all.bytes_read},
                            {"stall_ms", all.stall_microseconds / 1e3},
                            {"experts", std::move(per_expert)}};
  }
  const auto cleanup = CleanupOf(runtime);
  if (!cleanup) return json;
  json["cleanup"] = {{"runs", cleanup->runs},
                     {"ms", cleanup->microseconds / 1e3},
                     {"heap_bytes", cleanup->heap_bytes},
                     {"cold_experts", cleanup->cold_experts},
                     {"expert_bytes", cleanup->expert_bytes}};
  return json;
}

}  // namespace oxidized
