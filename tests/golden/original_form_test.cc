// One random model as Hugging Face files and in OpenAI's original/ layout: the same logits, bit for bit.
#include <gtest/gtest.h>

#include <filesystem>

#include "audit/inspect.h"
#include "checkpoint/checkpoint.h"
#include "executor/cpu/cpu_executor.h"
#include "executor/reference/reference_executor.h"
#include "rewrite/synth.h"
#include "support/single_sequence.h"

namespace oxidized::test {
namespace {

namespace fs = std::filesystem;

fs::path Write(const fs::path& folder, CheckpointFormat format) {
  SynthOptions options;
  options.preset = "tiny";
  options.seed = 11;
  options.format = format;
  options.out = folder / Name(format);
  Synthesize(options);
  return options.out;
}

std::vector<float> Logits(Executor& executor) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 40; ++i) prompt.push_back(i * 71 % 3000);
  return RunSingleSequence(executor, prompt, {}).logits.values;
}

TEST(OriginalForm, GivesTheLogitsOfTheHuggingFaceForm) {
  std::string pattern = (fs::temp_directory_path() / "oxidized-original-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path folder = pattern;
  const Checkpoint hf = OpenCheckpoint(Write(folder, CheckpointFormat::kHuggingFace));
  const Checkpoint original = OpenCheckpoint(Write(folder, CheckpointFormat::kOriginal));
  EXPECT_TRUE(original.format.starts_with("OpenAI original"));
  const std::string text = InspectText(original);
  const size_t layers = text.find("\n  block.*., largest first "),
               others = text.find("\n  others, largest first ");
  ASSERT_NE(layers, std::string::npos) << text;
  EXPECT_LT(text.find("\n  attn.sinks ", layers), others) << text;
  ExecutorLimits limits;
  limits.max_context = 64;
  const auto reference = [&](const Checkpoint& c) {
    return Logits(*MakeReferenceExecutor(c.config, c.weights, limits));
  };
  const std::vector<float> expected = reference(hf);
  EXPECT_GT(expected.size(), 1000u);
  EXPECT_EQ(reference(original), expected);
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    const auto cpu = [&](const Checkpoint& c) {
      return Logits(
          *MakeCpuExecutor(c.config, c.weights, {.limits = limits, .precision = precision, .threads = 2}));
    };
    EXPECT_EQ(cpu(original), cpu(hf));
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace oxidized::test
