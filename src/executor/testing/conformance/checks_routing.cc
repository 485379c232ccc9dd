// Routing: what was chosen follows from what the routers said, by the rules of moe/, for each sequence by its
// own policy; and the observation says so without touching it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "executor/taps.h"
#include "executor/testing/conformance/compare_runs.h"
#include "executor/testing/conformance/context.h"

namespace oxidized::conformance {
namespace {

int32_t ExpertsOf(const ExecutorInfo& info, int32_t layer) {
  return info.layer_experts.empty() ? info.num_experts : info.layer_experts[static_cast<size_t>(layer)];
}
int32_t LeastExperts(const ExecutorInfo& info) {
  int32_t least = info.num_experts;
  for (int32_t layer = 0; layer < info.num_layers; ++layer) least = std::min(least, ExpertsOf(info, layer));
  return least;
}

struct Named {
  std::string name;
  RoutingPolicy policy;
};

// Every rule that the device takes, with K and the number of usable experts asked for or not.
std::vector<Named> Policies(const ExecutorInfo& info, bool with_capacity) {
  std::vector<Named> policies;
  for (const RoutingStrategy* strategy : RoutingStrategies()) {
    const auto& rules = info.can.routing_rules;
    if (!rules.empty() && std::find(rules.begin(), rules.end(), strategy) == rules.end()) continue;
    for (const int32_t k : {0, 1, 3, info.experts_per_token + 2}) {
      for (const int32_t usable : {0, 1, LeastExperts(info) / 2 + 1}) {
        if (k > (usable > 0 ? usable : LeastExperts(info))) continue;
        for (const double factor : {0.0, 0.3, 1.0, 2.5}) {
          RoutingPolicy policy;
          policy.strategy = strategy;
          policy.experts_per_token = k;
          policy.num_experts = usable;
          if (factor > 0.0) policy.capacity_factor = factor;
          if (factor > 0.0 && !strategy->uses_capacity()) continue;
          if (strategy->DependsOnStep(policy) != with_capacity) continue;
          policies.push_back(
              {fmt::format("{}, K {}, {} experts, capacity {}", strategy->name(), k, usable, factor),
               policy});
        }
      }
    }
  }
  return policies;
}

// The observation of each sequence's rows of one step against its rule, applied to the logits observed.
void ExpectRouted(const ExecutorInfo& info, const Sequence& sequence, int64_t begin, int64_t end,
                  const std::string& what, Findings& findings) {
  for (int32_t layer = 0; layer < info.num_layers; ++layer) {
    std::vector<float> logits;
    const int32_t stride = static_cast<int32_t>(sequence.routing.at({layer, begin}).experts.size());
    for (int64_t p = begin; p < end; ++p) {
      const std::vector<float>& row = sequence.routing.at({layer, p}).logits;
      if (static_cast<int32_t>(row.size()) != info.num_experts)
        return findings.Add("{}: no router logits", what);
      const auto own = row.begin() + ExpertsOf(info, layer);
      logits.insert(logits.end(), row.begin(), own);
      findings.Expect(std::all_of(own, row.end(), [](float v) { return v == -INFINITY; }),
                      "{}: layer {} has logits of experts that it does not have", what, layer);
    }
    const auto rows = static_cast<size_t>(end - begin);
    std::vector<int32_t> experts(rows * static_cast<size_t>(stride));
    std::vector<float> weights(experts.size());
    std::vector<uint8_t> dropped(rows), rerouted(rows);
    Route(sequence.policy, info.experts_per_token, logits, ExpertsOf(info, layer),
          {stride, experts, weights, dropped, rerouted});
    for (size_t r = 0; r < rows; ++r) {
      const RoutedRow& actual = sequence.routing.at({layer, begin + static_cast<int64_t>(r)});
      const auto at = r * static_cast<size_t>(stride);
      const bool same = std::equal(actual.experts.begin(), actual.experts.end(),
                                   experts.begin() + static_cast<ptrdiff_t>(at));
      if (!findings.Expect(same, "{}: layer {}, position {}: experts [{}], expected [{}]", what, layer,
                           begin + static_cast<int64_t>(r), fmt::join(actual.experts, " "),
                           fmt::join(std::span(experts).subspan(at, static_cast<size_t>(stride)), " ")))
        return;
      for (size_t i = 0; i < actual.weights.size(); ++i) {
        // A few operations of f32, one of them an exponential of the device's own.
        const float error = std::fabs(actual.weights[i] - weights[at + i]);
        if (!findings.Expect(error <= 1e-6f, "{}: layer {}, position {}, rank {}: weight {}, expected {}",
                             what, layer, begin + static_cast<int64_t>(r), i, actual.weights[i],
                             weights[at + i]))
          return;
      }
      if (!findings.Expect(actual.dropped == dropped[r] && actual.rerouted == rerouted[r],
                           "{}: layer {}, position {}: {} dropped and {} rerouted, expected {} and {}", what,
                           layer, begin + static_cast<int64_t>(r), actual.dropped, actual.rerouted,
                           dropped[r], rerouted[r]))
        return;
    }
  }
}

// Three sequences with a policy each, in two steps; then the same by the definition.
void RunPolicies(Context& context, const Model& model, const std::vector<Named>& policies) {
  if (policies.empty()) return;
  const OpenedExecutor opened = context.Open(model);
  if (opened.executor == nullptr) return;
  const ExecutorInfo& info = opened.executor->Info();
  Driver driver(*opened, context.findings, {.logits = true, .taps = info.can.taps, .router_logits = true});
  for (size_t first = 0; first < policies.size(); first += 3) {
    std::vector<Piece> pieces;
    std::vector<int64_t> ends = {0};
    for (size_t i = first; i < std::min(first + 3, policies.size()); ++i) {
      const int32_t s = driver.Add(policies[i].policy);
      pieces.push_back({.sequence = s,
                        .tokens = Prompt(200 + i, 11 + 7 * static_cast<int64_t>(i % 3), info.vocab_size),
                        .wants = {{}}});
    }
    driver.Step(pieces);
    for (size_t i = 0; i < pieces.size(); ++i)
      ExpectRouted(info, driver[pieces[i].sequence], 0, driver[pieces[i].sequence].end(),
                   policies[first + i].name, context.findings);
    for (Piece& piece : pieces) piece.tokens = Prompt(300, 2, info.vocab_size);
    driver.Step(pieces);
    for (size_t i = 0; i < pieces.size(); ++i) {
      const Sequence& sequence = driver[pieces[i].sequence];
      ExpectRouted(info, sequence, sequence.end() - 2, sequence.end(), policies[first + i].name + ", later",
                   context.findings);
      // What was observed is what was computed with.
      if (info.can.taps)
        ExpectStages(model, info, sequence, {.columns = 16, .moe_rows = 6}, context.findings);
    }
    for (const Piece& piece : pieces) driver.End(piece.sequence);
  }
}

}  // namespace

void CheckRouting(Context& context) {
  for (const Model& model : NarrowModels(/*brief=*/true)) {
    context.findings.At(model.name);
    const OpenedExecutor opened = context.Open(model);
    if (opened.executor != nullptr) RunPolicies(context, model, Policies(opened.executor->Info(), false));
  }
  // Equal logits: the lowest id first.
  context.findings.At("equal router logits");
  Model model = MainModel();
  const std::vector<std::byte> zeros(static_cast<size_t>(model.weights.layers[0].router.bytes()));
  for (LayerWeights& layer : model.weights.layers) {
    layer.router.data = zeros.data();
    layer.router_bias.data = zeros.data();
  }
  const OpenedExecutor opened = context.Open(model);
  RunPolicies(context, model, Policies(opened.executor->Info(), false));
}

void CheckCapacity(Context& context) {
  const OpenedExecutor opened = context.Open(MainModel());
  RunPolicies(context, MainModel(), Policies(opened.executor->Info(), true));
}

void CheckObservation(Context& context) {
  context.ForNarrowModels([&](const Model& model, Executor& executor) {
    const OpenedExecutor twin = context.Open(model);
    const bool taps = executor.Info().can.taps;
    Driver watched(executor, context.findings, {.logits = true, .taps = taps, .router_logits = true});
    Driver unwatched(*twin, context.findings, {.logits = true, .taps = false, .router_logits = false});
    FeedRagged(watched);
    FeedRagged(unwatched);
    for (int32_t s = 0; s < 3; ++s) {
      ExpectSameBits(watched[s], unwatched[s], "watched", context.findings);
      for (const auto& [place, row] : watched[s].routing) {
        if (!taps) break;
        const auto& shown = watched[s].taps[{place.first, std::string(tap::kRouterLogits)}][place.second];
        if (!context.findings.Expect(
                SameBits(std::span(row.logits).first(std::min(shown.size(), row.logits.size())), shown),
                "router logits of layer {} at {} are not the tap's", place.first, place.second))
          break;
      }
    }
  });
}

void CheckPolicies(Context& context) {
  const Model& model = MainModel();
  // More policies than eight bits hold, one row each; some alike, most not.
  const int32_t many = context.brief() ? 24 : 270;
  const ExecutorLimits limits{
      .max_context = 32, .max_sequences = many, .max_step_tokens = many, .kv_tokens = int64_t{many} * 32};
  const OpenedExecutor opened = context.Open(model, limits);
  const ExecutorInfo info = opened.executor->Info();
  const std::vector<Named> policies = Policies(info, false);
  Driver driver(*opened, context.findings);
  std::vector<Piece> pieces;
  for (int32_t i = 0; i < many; ++i) {
    const int32_t s = driver.Add(policies[static_cast<size_t>(i) * 7 % policies.size()].policy);
    pieces.push_back({.sequence = s, .tokens = {i % 5}, .wants = {{}}});
  }
  driver.Step(pieces);
  for (Piece& piece : pieces) piece.tokens = {3};
  driver.Step(pieces);
  // Each against the same sequence alone.
  const OpenedExecutor twin = context.Open(model);
  Driver alone(*twin, context.findings);
  for (int32_t i = 0; i < many; i += context.brief() ? 5 : 13) {
    const int32_t s = alone.Add(driver[i].policy);
    for (const int32_t token : driver[i].tokens)
      alone.Step({{.sequence = s, .tokens = {token}, .wants = {{}}}});
    context.ExpectSame(*opened, driver[i], alone[s],
                       fmt::format("sequence {} of {} with a policy each", i, many));
    for (const auto& [place, row] : alone[s].routing) {
      std::vector<int32_t> seen = driver[i].routing[place].experts, expected = row.experts;
      const bool padded =
          std::all_of(seen.begin() + static_cast<ptrdiff_t>(std::min(expected.size(), seen.size())),
                      seen.end(), [](int32_t e) { return e == -1; });
      seen.resize(std::min(seen.size(), expected.size()));
      if (!context.findings.Expect(padded && seen == expected, "sequence {} of {}: other experts than alone",
                                   i, many))
        break;
    }
    alone.End(s);
  }
}

}  // namespace oxidized::conformance
