// One loaded model, several engines.
#include "model_host/loaded_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/error.h"
#include "model_host/runtime.h"
#include "rewrite/synth.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::TempFolder;

class LoadedModelTest : public ::testing::Test {
 protected:
  LoadedModelTest() {
    SynthOptions synth;
    synth.preset = "mixed";
    synth.out = folder_.path() / "model";
    Synthesize(synth);
    options_.model_path = synth.out;
    options_.text = TextParts::kNone;
    options_.device.threads = 1;
    options_.device.limits.max_context = 256;
  }
  std::shared_ptr<const LoadedModel> Load(TextParts text = TextParts::kNone,
                                          const std::filesystem::path& tokenizer = {}) {
    return LoadedModel::Load({.model_path = options_.model_path, .tokenizer_path = tokenizer, .text = text});
  }

  TempFolder folder_;
  RuntimeOptions options_;
};

std::vector<int32_t> Answer(EngineLoop& loop, uint64_t seed) {
  Request request;
  for (int32_t t = 0; t < 80; ++t) request.prompt.push_back(t * 37 % 3000);
  request.max_new_tokens = 40;
  request.sampling.temperature = 1.0;
  request.sampling.seed = seed;
  auto stream = loop.Submit(std::move(request));
  std::vector<int32_t> tokens;
  while (const std::optional<Event> event = stream->Next()) {
    if (const auto* token = std::get_if<GeneratedToken>(&*event)) tokens.push_back(token->token);
  }
  return tokens;
}

TEST_F(LoadedModelTest, EnginesOnOneModelAnswerAlikeAtTheSameTime) {
  const auto model = Load();
  const std::vector<int32_t> expected = Answer(Runtime::Load(options_)->loop(), 7);
  ASSERT_EQ(expected.size(), 40u);
  RuntimeOptions own = options_;
  own.device.use_mmap = false;  // its device changes bytes, which are its own
  const auto mapped = Runtime::Open(model, options_), read = Runtime::Open(model, own);
  EXPECT_EQ(&mapped->checkpoint(), &read->checkpoint());
  for (int round = 0; round < 3; ++round) {
    std::vector<int32_t> answers[2];
    std::thread first([&] { answers[0] = Answer(mapped->loop(), 7); });
    std::thread second([&] { answers[1] = Answer(read->loop(), 7); });
    first.join();
    second.join();
    EXPECT_EQ(answers[0], expected);
    EXPECT_EQ(answers[1], expected);
  }
}

TEST_F(LoadedModelTest, DevicesOpenWhileOthersCompute) {
  const auto model = Load();
  const auto first = Runtime::Open(model, options_);
  const std::vector<int32_t> expected = Answer(first->loop(), 3);
  std::vector<int32_t> answers[2];
  std::thread busy([&] { answers[0] = Answer(first->loop(), 3); });
  std::thread opens([&] {
    RuntimeOptions own = options_;
    own.device.use_mmap = false;
    answers[1] = Answer(Runtime::Open(model, own)->loop(), 3);
  });
  busy.join();
  opens.join();
  EXPECT_EQ(answers[0], expected);
  EXPECT_EQ(answers[1], expected);
}

TEST_F(LoadedModelTest, AnEngineOutlivesEveryOtherUserOfItsModel) {
  auto model = Load();
  auto other = Runtime::Open(model, options_);
  const auto kept = Runtime::Open(std::move(model), options_);
  const std::vector<int32_t> expected = Answer(kept->loop(), 1);
  other.reset();
  EXPECT_EQ(Answer(kept->loop(), 1), expected);
}

TEST_F(LoadedModelTest, LoadingSaysHowMuchOfTheTextSideItWants) {
  // The model's 3136 rows are not those of any vocabulary that comes with the program.
  EXPECT_NO_THROW(Load(TextParts::kNone));
  ExpectError(ErrorKind::kBadFile, {"tokenizer_path: "}, [&] { Load(TextParts::kTokens); });
  ExpectError(ErrorKind::kBadFile, {"they do not belong together"},
              [&] { Load(TextParts::kTokens, kBuiltInTokenizer); });
}

TEST_F(LoadedModelTest, WhatTheModelCannotDoIsSaidBeforeADeviceIsOpened) {
  options_.device.use_mmap = false;
  options_.device.progress = [](PrepareStage, int64_t, int64_t) { ADD_FAILURE() << "it was read"; };
  options_.check = [](const ModelConfig& config) {
    EXPECT_EQ(config.num_layers, 4);
    Fail(ErrorKind::kUsage, "not with this model");
  };
  ExpectError(ErrorKind::kUsage, {"not with this model"}, [&] { Runtime::Load(options_); });
  options_.check = nullptr;
  options_.device.limits.max_context = int64_t{1} << 29;
  ExpectError(ErrorKind::kUsage, {"context"}, [&] { Runtime::Load(options_); });
}

}  // namespace
}  // namespace oxidized
