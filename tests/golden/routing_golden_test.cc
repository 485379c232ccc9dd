// Routing strategies against an independent PyTorch statement of each, inside transformers' own model
// (tools/routing_golden.py): logits, and per layer which experts served, what was dropped and what rerouted.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "executor/cpu/cpu_executor.h"
#include "executor/reference/reference_executor.h"
#include "support/compare.h"
#include "support/golden_model.h"
#include "support/npy.h"

namespace oxidized::test {
namespace {

nlohmann::json ReadJson(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

class LastRows final : public LogitsSink {
 public:
  explicit LastRows(int64_t from) : from_(from) {}
  void Row(int64_t position, std::span<const float> logits) override {
    if (position < from_) return;
    rows.values.insert(rows.values.end(), logits.begin(), logits.end());
    rows.cols = static_cast<int64_t>(logits.size());
    ++rows.rows;
  }
  Matrix rows;

 private:
  int64_t from_;
};

class RoutingGolden : public ::testing::TestWithParam<nlohmann::json> {};

TEST_P(RoutingGolden, LogitsAndCountsOfBothExecutors) {
  const nlohmann::json& c = GetParam();
  const std::filesystem::path folder = std::filesystem::path(GOLDEN_MODELS) / c["model"].get<std::string>();
  const Checkpoint checkpoint = OpenCheckpoint(folder / "mxfp4");
  const auto prompt = ReadJson(folder / "manifest.json")["prompt"].get<std::vector<int32_t>>();
  const NpyArray stored = ReadNpy(std::filesystem::path(GOLDEN_MODELS).parent_path() / "routing" /
                                  (c["name"].get<std::string>() + ".npy"));
  const Matrix expected{stored.shape[0], stored.shape[1], stored.as<float>()};

  Request request;
  request.prompt = prompt;
  request.routing.strategy = FindRoutingStrategy(c["strategy"].get<std::string>());
  if (!c["capacity_factor"].is_null()) request.routing.capacity_factor = c["capacity_factor"].get<double>();
  if (!c["experts_per_token"].is_null()) request.routing.experts_per_token = c["experts_per_token"];
  if (!c["num_experts"].is_null()) request.routing.num_experts = c["num_experts"];

  ExecutorLimits limits;
  limits.max_context = static_cast<int64_t>(prompt.size());
  limits.max_step_tokens =
      static_cast<int32_t>(prompt.size());  // the prompt is one step: a capacity counts all of it
  std::vector<std::unique_ptr<Executor>> executors;
  executors.push_back(MakeReferenceExecutor(checkpoint.config, checkpoint.weights, limits));
  executors.push_back(
      MakeCpuExecutor(checkpoint.config, checkpoint.weights,
                      {.limits = limits, .precision = Precision::kF32, .threads = 2, .kernels = nullptr}));
  for (const auto& executor : executors) {
    Engine engine(*executor);
    LastRows sink(static_cast<int64_t>(prompt.size()) - expected.rows);
    request.logits = &sink;
    const RequestId id = *engine.Submit(request);
    while (engine.Step()) {
    }
    EXPECT_TRUE(CloseTo(sink.rows, expected, executor->Info().name));
    const std::vector<Event> events = engine.TakeEvents(id);
    const auto& layers = std::get<Finished>(events.back()).stats.routing.layers();
    ASSERT_EQ(layers.size(), c["layers"].size());
    for (size_t l = 0; l < layers.size(); ++l) {
      EXPECT_EQ(layers[l].counts, c["layers"][l]["counts"].get<std::vector<int64_t>>()) << "layer " << l;
      EXPECT_EQ(layers[l].dropped, c["layers"][l]["dropped"].get<int64_t>()) << "layer " << l;
      EXPECT_EQ(layers[l].rerouted, c["layers"][l]["rerouted"].get<int64_t>()) << "layer " << l;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, RoutingGolden,
                         ::testing::ValuesIn(ReadJson(std::filesystem::path(GOLDEN_MODELS).parent_path() /
                                                      "routing" / "manifest.json")["cases"]
                                                 .get<std::vector<nlohmann::json>>()),
                         [](const auto& param_info) {
                           std::string name = param_info.param["name"];
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace oxidized::test
