// The rows that this program has, opened: devices share a checkpoint, and each prepares weights of its own
// before its executor exists.
#include "devices/device.h"

#include <gtest/gtest.h>

#include <map>

#include "executor/cpu/test_model.h"
#include "rewrite/synth.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::TempFolder;

std::shared_ptr<const Checkpoint> Synthetic(const TempFolder& folder, const char* preset,
                                            CheckpointFormat format = CheckpointFormat::kHuggingFace) {
  SynthOptions options;
  options.preset = preset;
  options.format = format;
  options.out = folder.path() / (format == CheckpointFormat::kGguf ? "model.gguf" : "model");
  Synthesize(options);
  return std::make_shared<const Checkpoint>(OpenCheckpoint(options.out));
}

DeviceOptions Small() {
  DeviceOptions options;
  options.limits = {.max_context = 256, .max_sequences = 1, .max_step_tokens = 96, .kv_tokens = 256};
  return options;
}

// Logits of a prompt fed in two chunks and some tokens behind it.
std::map<int64_t, std::vector<float>> LogitsOf(Executor& executor) {
  std::vector<test::TestSequence> sequences(1);
  for (int32_t t = 0; t < 100; ++t) sequences[0].tokens.push_back((t * 37 + 5) % executor.Info().vocab_size);
  test::TestBatcher batcher(executor, sequences);
  batcher.Step({90});
  for (int i = 0; i < 10; ++i) batcher.Step({1});
  return sequences[0].logits;
}

std::map<int64_t, std::vector<float>> LogitsOn(const char* device,
                                               const std::shared_ptr<const Checkpoint>& model,
                                               const DeviceOptions& options) {
  return LogitsOf(DeviceNamed(device).open(model, options)->executor());
}

TEST(Device, WhatADevicePreparesIsItsOwn) {
  const TempFolder folder;
  for (const CheckpointFormat format : {CheckpointFormat::kHuggingFace, CheckpointFormat::kGguf}) {
    const auto model = Synthetic(folder, "tiny", format);
    DeviceOptions options = Small();
    const auto mapped = LogitsOn("cpu", model, options);
    const auto reference = LogitsOn("reference", model, options);

    options.use_mmap = false;
    const auto own = DeviceNamed("cpu").open(model, options);
    options.precision = Precision::kF32;
    options.pack_dense = true;
    const auto packed = DeviceNamed("cpu").open(model, options);
    options.pack_dense = false;
    options.experts.budget = ParseExpertBudget("25%");
    options.use_mmap = true;
    const auto store = DeviceNamed("cpu").open(model, options);
    ASSERT_NE(store->expert_store(), nullptr);
    EXPECT_NE(packed->report().Find("packed"), nullptr);
    EXPECT_EQ(own->report().Find("packed"), nullptr);

    EXPECT_EQ(LogitsOf(own->executor()), mapped) << "reading and rearranging weights changed a result";
    EXPECT_EQ(LogitsOf(packed->executor()), LogitsOf(store->executor()));
    // While all of them are open, the checkpoint is what it was.
    EXPECT_EQ(LogitsOn("reference", model, Small()), reference);
    EXPECT_EQ(LogitsOn("cpu", model, Small()), mapped);
  }
}

TEST(Device, AModelInMemoryIsACheckpointWithoutFiles) {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_size = 64;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  config.experts_per_token = 2;
  config.expert_width = 64;
  config.vocab_size = 96;
  config.layers = AlternatingLayers(2, 40, 8);
  const test::TestModel made(config, DType::kBF16, ExpertLayout::kMxfp4);
  const auto model = std::make_shared<Checkpoint>();
  model->config = made.config;
  model->weights = made.weights;
  DeviceOptions options = Small();
  options.precision = Precision::kF32;
  const auto expected = LogitsOn("reference", model, options);
  const auto mapped = LogitsOn("cpu", model, options);
  options.precision = Precision::kBf16;
  const auto rounded = LogitsOn("cpu", model, options);
  options.use_mmap = false;
  EXPECT_EQ(LogitsOn("cpu", model, options), rounded);
  options.activations = ActivationType::kInt8;
  const auto int8 = DeviceNamed("cpu").open(model, options);
  EXPECT_NE(int8->report().Find("interleaved"), nullptr);
  EXPECT_NE(LogitsOf(int8->executor()), rounded);
  EXPECT_EQ(LogitsOn("reference", model, Small()), expected) << "the model's own bytes were rearranged";
  for (const auto& [position, row] : expected) {
    for (size_t i = 0; i < row.size(); ++i) ASSERT_NEAR(mapped.at(position)[i], row[i], 2e-3);
  }
}

// 8 and 4 experts, windows of 32, 64 and none.
TEST(Device, LayersThatDifferAgreeWithTheReference) {
  const TempFolder folder;
  const auto model = Synthetic(folder, "mixed");
  ASSERT_FALSE(model->config.layers_alike());
  DeviceOptions options = Small();
  options.precision = Precision::kF32;
  const auto expected = LogitsOn("reference", model, options);
  const auto actual = LogitsOn("cpu", model, options);
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [position, row] : expected) {
    for (size_t i = 0; i < row.size(); ++i)
      ASSERT_NEAR(actual.at(position)[i], row[i], 1e-3) << position << ", " << i;
  }
  options.experts.budget = ParseExpertBudget("25%");
  EXPECT_EQ(LogitsOn("cpu", model, options), actual);
}

TEST(Device, APlanIsWhatAnExecutorReserves) {
  const TempFolder folder;
  const auto model = Synthetic(folder, "mixed");
  for (const char* name : {"cpu", "reference"}) {
    const auto registered = [] {
      int64_t bytes = 0;
      for (const MemoryEntry& entry : MemoryEntries())
        bytes += entry.memory_class == MemoryClass::kKv ? entry.bytes : 0;
      return bytes;
    };
    const DevicePlan plan = DeviceNamed(name).plan(*model, Small(), /*measure=*/false);
    const int64_t before = registered();
    const auto device = DeviceNamed(name).open(model, Small());
    EXPECT_EQ(registered() - before, plan.input.kv_bytes) << name;
    EXPECT_EQ(plan.input.experts, model->config.all_experts());
    EXPECT_TRUE(plan.memory.fits);
    EXPECT_EQ(plan.input.memory_bytes_per_s, 0.0) << "nothing was to be measured";
  }
}

TEST(Device, TheReferenceRefusesWhatItDoesNotDo) {
  const TempFolder folder;
  const auto model = Synthetic(folder, "tiny");
  const auto refused = [&](const char* part, auto change) {
    DeviceOptions options = Small();
    change(options);
    ExpectError(ErrorKind::kUsage, {part}, [&] { DeviceNamed("reference").open(model, options); });
    ExpectError(ErrorKind::kUsage, {part}, [&] { DeviceNamed("reference").plan(*model, options, false); });
  };
  refused("expert_memory", [](auto& o) { o.experts.budget = ParseExpertBudget("50%"); });
  refused("f32 only", [](auto& o) { o.precision = Precision::kBf16; });
  refused("activations int8", [](auto& o) { o.activations = ActivationType::kInt8; });
  refused("pack_weights", [](auto& o) { o.pack_dense = true; });
  refused("one thread", [](auto& o) { o.threads = 2; });
  DeviceOptions odd = Small();
  odd.tier = "abacus";
  ExpectError(ErrorKind::kUsage, {"abacus"}, [&] { DeviceNamed("cpu").open(model, odd); });
}

}  // namespace
}  // namespace oxidized
