#include "rewrite/synth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "checkpoint/checkpoint.h"
#include "rewrite/testing/checkpoint_test_util.h"
#include "tensor/float16.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::ReadFile;
using testing::TempFolder;
using testing::WriteFile;
namespace fs = std::filesystem;

SynthOptions Tiny(const fs::path& out) {
  SynthOptions options;
  options.preset = "tiny";
  options.seed = 7;
  options.out = out;
  return options;
}

TEST(Synth, OpensWithTheValuesThatWereMade) {
  const TempFolder temp;
  int64_t last_done = 0;
  SynthOptions options = Tiny(temp.path() / "m");
  options.progress = [&](int64_t done, int64_t total) {
    EXPECT_GT(done, last_done);
    EXPECT_LE(done, total);
    last_done = done;
  };
  EXPECT_EQ(Synthesize(options), last_done);
  const Checkpoint checkpoint = OpenCheckpoint(options.out);
  const auto fill = SynthFill(SynthConfig(options), options.seed);
  const std::vector<TensorSpec> specs = PublishedTensors(SynthConfig(options));
  EXPECT_EQ(checkpoint.tensors.size(), specs.size());
  for (const TensorSpec& spec : specs) {
    std::vector<std::byte> made(static_cast<size_t>(spec.bytes()));
    fill(spec, 0, made);
    if (spec.name == "lm_head.weight") {
      EXPECT_EQ(std::memcmp(made.data(), checkpoint.weights.unembedding.data, made.size()), 0);
    } else if (spec.name == "model.layers.3.mlp.experts.down_proj_scales") {
      EXPECT_EQ(std::memcmp(made.data(), checkpoint.weights.layers[3].down[0].scales, made.size()), 0);
    }
  }
}

TEST(Synth, FilesDependOnTheSeedAndNotOnTheThreads) {
  const TempFolder temp;
  SynthOptions options = Tiny(temp.path() / "one");
  options.threads = 1;
  Synthesize(options);
  options.out = temp.path() / "three";
  options.threads = 3;
  Synthesize(options);
  options.out = temp.path() / "other";
  options.seed = 8;
  Synthesize(options);
  const std::string one = ReadFile(temp.path() / "one/model.safetensors");
  EXPECT_TRUE(one == ReadFile(temp.path() / "three/model.safetensors"));
  EXPECT_FALSE(one == ReadFile(temp.path() / "other/model.safetensors"));
}

TEST(Synth, ValuesHaveASaneScale) {
  const TempFolder temp;
  Synthesize(Tiny(temp.path() / "m"));
  const Checkpoint checkpoint = OpenCheckpoint(temp.path() / "m");
  const auto deviation = [](const std::vector<float>& values) {
    double sum = 0.0, squares = 0.0;
    for (const float v : values) {
      EXPECT_TRUE(std::isfinite(v));
      sum += static_cast<double>(v);
      squares += static_cast<double>(v) * static_cast<double>(v);
    }
    const auto n = static_cast<double>(values.size());
    return std::sqrt(squares / n - sum / n * sum / n);
  };
  const auto values = [](const VectorView& view) {
    std::vector<float> out;
    for (int64_t i = 0; i < view.size; ++i) out.push_back(view[i]);
    return out;
  };
  const MatrixView& embedding = checkpoint.weights.embedding;
  EXPECT_NEAR(deviation(values({embedding.data, embedding.dtype, embedding.rows * embedding.cols})), 1.0,
              0.01);
  const LayerWeights& layer = checkpoint.weights.layers[2];
  EXPECT_NEAR(deviation(values({layer.q.data, layer.q.dtype, layer.q.rows * layer.q.cols})),
              1 / std::sqrt(128.0), 0.001);
  for (const auto* experts : {&layer.gate_up, &layer.down}) {
    for (const ExpertView& expert : *experts) {
      std::vector<float> all, row(static_cast<size_t>(expert.cols));
      for (int64_t r = 0; r < expert.rows; ++r) {
        expert.DecodeRow(r, row.data());
        all.insert(all.end(), row.begin(), row.end());
      }
      const double relative = deviation(all) * std::sqrt(static_cast<double>(expert.cols));
      EXPECT_GT(relative, 0.65);
      EXPECT_LT(relative, 1.5);
    }
  }
}

TEST(Synth, RefusesWhatItCannotDo) {
  const TempFolder temp;
  SynthOptions options = Tiny(temp.path() / "m");
  options.preset = "huge";
  ExpectError(ErrorKind::kUsage, {"\"huge\"", "gpt-oss-20b, gpt-oss-120b, small, tiny"},
              [&] { Synthesize(options); });
  options = Tiny(temp.path() / "m");
  for (const int32_t layers : {0, -1, 1025}) {
    options.num_layers = layers;
    ExpectError(ErrorKind::kUsage, {std::to_string(layers) + " layers"}, [&] { Synthesize(options); });
  }
  options.num_layers = 1;
  fs::create_directory(temp.path() / "m");
  EXPECT_GT(Synthesize(options), 0);  // an empty folder is filled
  EXPECT_EQ(OpenCheckpoint(options.out).config.num_layers, 1);
  ExpectError(ErrorKind::kBadFile, {"nothing is overwritten"}, [&] { Synthesize(options); });
  WriteFile(temp.path() / "file", "x");
  options.out = temp.path() / "file";
  ExpectError(ErrorKind::kBadFile, {"file", "nothing is overwritten"}, [&] { Synthesize(options); });
  EXPECT_EQ(ReadFile(temp.path() / "file"), "x");
  options.out = temp.path() / "file/below";
  ExpectError(ErrorKind::kBadFile, {"file/below"}, [&] { Synthesize(options); });
}

TEST(Synth, SpecialIdsComeFromTheTokenizer) {
  const TempFolder temp;
  SynthOptions options = Tiny(temp.path() / "m");
  options.tokenizer_source = "models/demo/tokenizer.json";
  Synthesize(options);
  const Checkpoint checkpoint = OpenCheckpoint(options.out);
  ASSERT_EQ(checkpoint.tokenizer_candidates.size(), 1u);
  EXPECT_TRUE(ReadFile(checkpoint.tokenizer_candidates[0]) == ReadFile(options.tokenizer_source));
  const auto tokenizer = Tokenizer::Load(options.tokenizer_source);
  ASSERT_LE(tokenizer->vocab_size(), checkpoint.config.vocab_size);
  EXPECT_EQ(checkpoint.config.eos_token_ids, (std::vector<int32_t>{*tokenizer->SpecialId("<|return|>"),
                                                                   *tokenizer->SpecialId("<|endoftext|>")}));
  EXPECT_EQ(checkpoint.config.pad_token_id, tokenizer->SpecialId("<|endoftext|>"));

  options.out = temp.path() / "no";
  options.tokenizer_source = temp.path() / "absent.json";
  ExpectError(ErrorKind::kBadFile, {"absent.json"}, [&] { Synthesize(options); });
  EXPECT_FALSE(fs::exists(options.out));
}

TEST(HfWriter, AFailureLeavesNothingBehind) {
  const TempFolder temp;
  HfWriteRequest request = testing::MiniRequest(temp.path() / "m");
  request.fill = [](const TensorSpec& tensor, int64_t, std::span<std::byte>) {
    if (tensor.name == "model.norm.weight") Fail(ErrorKind::kInternal, "planted");
  };
  ExpectError(ErrorKind::kInternal, {"planted"}, [&] { WriteHfCheckpoint(request); });
  EXPECT_TRUE(fs::is_empty(temp.path()));

  request = testing::MiniRequest(temp.path() / "m");
  request.tensors.push_back({"huge", DType::kU8, {int64_t{1} << 58}});
  ExpectError(ErrorKind::kNoMemory, {"GB free", "needs"}, [&] { WriteHfCheckpoint(request); });
  EXPECT_TRUE(fs::is_empty(temp.path()));
}

}  // namespace
}  // namespace oxidized
