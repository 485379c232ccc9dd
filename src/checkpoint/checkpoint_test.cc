#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "audit/inspect.h"
#include "base/log_test_util.h"
#include "model/costs.h"
#include "rewrite/testing/checkpoint_test_util.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::MiniRequest;
using testing::ReadFile;
using testing::Spec;
using testing::TempFolder;
using testing::WriteFile;
namespace fs = std::filesystem;

constexpr ErrorKind kBad = ErrorKind::kBadFile;

// Writes the request and expects opening it to fail.
void ExpectBroken(const HfWriteRequest& request, ErrorKind kind, const std::vector<std::string>& parts) {
  WriteHfCheckpoint(request);
  ExpectError(kind, parts, [&] { OpenCheckpoint(request.out); });
}

TEST(Checkpoint, APublishedFormOpens) {
  const TempFolder temp;
  const HfWriteRequest request = MiniRequest(temp.path() / "m");
  WriteHfCheckpoint(request);
  WriteFile(temp.path() / "m/tokenizer.json", "{}");
  WriteFile(temp.path() / "m/z.tiktoken", "");
  WriteFile(temp.path() / "m/a.tiktoken", "");
  const Checkpoint checkpoint = OpenCheckpoint(temp.path() / "m");
  EXPECT_EQ(checkpoint.format, "Hugging Face safetensors, MXFP4 experts");
  EXPECT_EQ(checkpoint.config.num_layers, 2);
  EXPECT_EQ(checkpoint.config.eos_token_ids, (std::vector<int32_t>{7, 9}));
  EXPECT_EQ(checkpoint.tensors.size(), 2u * 19 + 3);
  ASSERT_EQ(checkpoint.tokenizer_candidates.size(), 3u);
  EXPECT_EQ(checkpoint.tokenizer_candidates[0].filename(), "tokenizer.json");
  EXPECT_EQ(checkpoint.tokenizer_candidates[1].filename(), "a.tiktoken");

  // The views are those bytes of the file that `fill` made for that tensor, seen through name and shape.
  const auto expect_bytes = [&](const std::string& name, const std::byte* data, int64_t begin, int64_t size) {
    std::vector<std::byte> made(static_cast<size_t>(begin + size));
    request.fill(TensorSpec{name, DType::kU8, {}}, 0, made);
    EXPECT_EQ(std::memcmp(made.data() + begin, data, static_cast<size_t>(size)), 0) << name;
  };
  const LayerWeights& layer = checkpoint.weights.layers[1];
  expect_bytes("model.embed_tokens.weight", checkpoint.weights.embedding.data, 0, 96 * 32 * 2);
  expect_bytes("lm_head.weight", checkpoint.weights.unembedding.data, 0, 96 * 32 * 2);
  expect_bytes("model.layers.1.self_attn.k_proj.weight", layer.k.data, 0, 16 * 32 * 2);
  expect_bytes("model.layers.1.self_attn.sinks", layer.sinks.data, 0, 4 * 2);
  const std::string experts = "model.layers.1.mlp.experts.";
  expect_bytes(experts + "gate_up_proj_blocks", layer.gate_up[1].values, 128 * 16, 128 * 16);
  expect_bytes(experts + "gate_up_proj_scales", layer.gate_up[1].scales, 128, 128);
  expect_bytes(experts + "gate_up_proj_bias", layer.gate_up[1].bias.data, 128 * 2, 128 * 2);
  expect_bytes(experts + "down_proj_blocks", layer.down[1].values, 32 * 2 * 16, 32 * 2 * 16);
  expect_bytes(experts + "down_proj_scales", layer.down[1].scales, 32 * 2, 32 * 2);
  EXPECT_EQ(layer.gate_up[1].rows, 128);
  EXPECT_EQ(layer.gate_up[1].cols, 32);
  EXPECT_EQ(layer.down[0].rows, 32);
  EXPECT_EQ(layer.down[0].cols, 64);
}

TEST(Checkpoint, ReadingInsteadOfMappingGivesTheSame) {
  const TempFolder temp;
  WriteHfCheckpoint(MiniRequest(temp.path() / "m"));
  const Checkpoint mapped = OpenCheckpoint(temp.path() / "m");
  Checkpoint read = OpenCheckpoint(temp.path() / "m");
  read.files[0].Own({{0, std::ssize(read.files[0].bytes())}});
  EXPECT_FALSE(read.files[0].Maps(read.files[0].bytes().data(), 1));
  const auto bytes = read.files[0].bytes();
  ASSERT_EQ(bytes.size(), mapped.files[0].bytes().size());
  EXPECT_EQ(std::memcmp(bytes.data(), mapped.files[0].bytes().data(), bytes.size()), 0);
}

TEST(Checkpoint, PathsThatNameTheModel) {
  const TempFolder temp;
  WriteHfCheckpoint(MiniRequest(temp.path() / "m"));
  WriteFile(temp.path() / "m/tokenizer.json", "{}");
  for (const char* path : {"m/", "m/model.safetensors", "m/config.json", "m/tokenizer.json"}) {
    EXPECT_EQ(OpenCheckpoint(temp.path() / path).tensors.size(), 41u) << path;
  }
  fs::rename(temp.path() / "m/model.safetensors", temp.path() / "m/other name.safetensors");
  EXPECT_EQ(OpenCheckpoint(temp.path() / "m").tensors.size(), 41u);
  EXPECT_EQ(OpenCheckpoint(temp.path() / "m/other name.safetensors").tensors.size(), 41u);
  WriteFile(temp.path() / "m/second.safetensors", "");
  ExpectError(kBad, {"2 .safetensors files", "model.safetensors.index.json"},
              [&] { OpenCheckpoint(temp.path() / "m"); });
}

TEST(Checkpoint, TensorsThatDoNotFitAreNamed) {
  const TempFolder temp;
  const std::string router = "model.layers.1.mlp.router.weight";
  const std::string blocks = "model.layers.0.mlp.experts.down_proj_blocks";
  {
    HfWriteRequest request = MiniRequest(temp.path() / "missing");
    std::erase_if(request.tensors, [&](const TensorSpec& t) { return t.name == router; });
    ExpectBroken(request, kBad, {router, "is missing"});
  }
  {
    HfWriteRequest request = MiniRequest(temp.path() / "shape");
    Spec(request, router).shape = {32, 2};
    ExpectBroken(request, kBad, {router, "[32, 2]", "expected [2, 32]"});
  }
  {
    HfWriteRequest request = MiniRequest(temp.path() / "rank");
    Spec(request, blocks).shape = {2, 32, 32};
    ExpectBroken(request, kBad, {blocks, "[2, 32, 32]", "expected [2, 32, 2, 16]"});
  }
  {
    HfWriteRequest request = MiniRequest(temp.path() / "dtype");
    Spec(request, router).dtype = DType::kI16;
    ExpectBroken(request, kBad, {router, "I16", "BF16, F16 or F32"});
  }
  {
    HfWriteRequest request = MiniRequest(temp.path() / "blocks");
    Spec(request, blocks).dtype = DType::kI8;
    ExpectBroken(request, kBad, {blocks, "I8", "expected U8"});
  }
  {
    HfWriteRequest request = MiniRequest(temp.path() / "prefix");
    for (TensorSpec& tensor : request.tensors) tensor.name = "_orig_mod." + tensor.name;
    ExpectBroken(request, kBad,
                 {"\"model.embed_tokens.weight\" is missing", "names have a prefix, \"_orig_mod.\""});
  }
  {
    HfWriteRequest request = MiniRequest(temp.path() / "cut");
    for (TensorSpec& tensor : request.tensors) {
      if (tensor.name.starts_with("model.")) tensor.name.erase(0, std::string("model.").size());
    }
    ExpectBroken(request, kBad,
                 {"\"model.embed_tokens.weight\" is missing", "there is \"embed_tokens.weight\"",
                  "lack their prefix, \"model.\""});
  }
  {
    HfWriteRequest request = MiniRequest(temp.path() / "two forms");
    TensorSpec plain = Spec(request, blocks);
    plain.name = "model.layers.0.mlp.experts.down_proj";
    request.tensors.push_back(plain);
    ExpectBroken(request, kBad, {blocks, "down_proj\" are both there"});
  }
  {
    HfWriteRequest request =
        MiniRequest(temp.path() / "count");  // a whole layer missing: the first few, and a number
    std::erase_if(request.tensors, [](const TensorSpec& t) { return t.name.starts_with("model.layers.1."); });
    ExpectBroken(request, kBad, {"model.layers.1.input_layernorm.weight", "and 15 more"});
  }
  {
    HfWriteRequest request = MiniRequest(temp.path() / "experts");
    ModelConfig config = testing::MiniConfig();
    for (LayerConfig& layer : config.layers)
      layer.num_experts = 16384;  // must not be believed before the tensors have been seen
    request.text_files["config.json"] = PublishedConfigJson(config);
    ExpectBroken(request, kBad, {"router.weight", "[2, 32]", "expected [16384, 32]"});
  }
}

TEST(Checkpoint, UnknownTensorsAreOnlyWarnedOf) {
  const TempFolder temp;
  HfWriteRequest request = MiniRequest(temp.path() / "m");
  request.tensors.push_back({"model.rotary.inv_freq", DType::kF64, {3}});
  WriteHfCheckpoint(request);
  const testing::LogCapture log;
  EXPECT_EQ(OpenCheckpoint(request.out).tensors.size(), 42u);
  EXPECT_NE(log.text().find("model.rotary.inv_freq"), std::string::npos);
}

TEST(Checkpoint, FloatsOfOtherWidthsAreAccepted) {
  const TempFolder temp;
  HfWriteRequest request = MiniRequest(temp.path() / "m");
  Spec(request, "model.layers.0.self_attn.sinks").dtype = DType::kF32;
  Spec(request, "model.norm.weight").dtype = DType::kF32;
  Spec(request, "model.layers.0.mlp.experts.down_proj_bias").dtype = DType::kF32;
  Spec(request, "model.layers.1.self_attn.q_proj.weight").dtype = DType::kF16;
  WriteHfCheckpoint(request);
  const Checkpoint checkpoint = OpenCheckpoint(request.out);
  const LayerWeights& layer = checkpoint.weights.layers[0];
  EXPECT_EQ(layer.sinks.dtype, DType::kF32);
  EXPECT_EQ(checkpoint.weights.final_norm.dtype, DType::kF32);
  EXPECT_EQ(checkpoint.weights.layers[1].q.dtype, DType::kF16);
  EXPECT_EQ(layer.down[1].bias.data - layer.down[0].bias.data, 32 * 4);
}

// The dequantised form: [E, in, out], values a function of (expert, in, out), so that a missing transpose
// shows.
TEST(Checkpoint, DequantisedExpertsAreTransposed) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    const TempFolder temp;
    HfWriteRequest request = MiniRequest(temp.path() / "m");
    std::erase_if(request.tensors, [](const TensorSpec& t) { return t.name.ends_with("_scales"); });
    for (TensorSpec& tensor : request.tensors) {
      if (!tensor.name.ends_with("_blocks")) continue;
      tensor.name.resize(tensor.name.size() - 7);
      tensor.dtype = dtype;
      tensor.shape = tensor.name.ends_with("gate_up_proj") ? std::vector<int64_t>{2, 32, 128}
                                                           : std::vector<int64_t>{2, 64, 32};
    }
    request.fill = [](const TensorSpec& tensor, int64_t, std::span<std::byte> out) {
      if (!tensor.name.ends_with("_proj")) return;
      const int64_t rows = tensor.shape[2], cols = tensor.shape[1];
      const auto width = static_cast<size_t>(Bits(tensor.dtype) / 8);
      for (size_t i = 0; i < out.size() / width; ++i) {
        const auto index = static_cast<int64_t>(i);
        const auto value =
            static_cast<float>(index / (rows * cols) * 16 + index / rows % cols % 4 * 4 + index % rows % 4);
        const uint16_t half = tensor.dtype == DType::kF16 ? FloatToF16(value) : FloatToBf16(value);
        std::memcpy(out.data() + i * width, width == 4 ? static_cast<const void*>(&value) : &half, width);
      }
    };
    auto config = nlohmann::json::parse(request.text_files["config.json"]);
    config.erase("quantization_config");
    request.text_files["config.json"] = config.dump();
    WriteHfCheckpoint(request);

    const Checkpoint checkpoint = OpenCheckpoint(request.out);
    EXPECT_EQ(checkpoint.format, "Hugging Face safetensors, dequantised experts");
    for (const auto* experts : {&checkpoint.weights.layers[1].gate_up, &checkpoint.weights.layers[1].down}) {
      const ExpertView& expert = (*experts)[1];
      EXPECT_EQ(expert.layout, ExpertLayout::kTransposed);
      EXPECT_EQ(expert.dtype, dtype);
      std::vector<float> row(static_cast<size_t>(expert.cols));
      expert.DecodeRow(5, row.data());
      for (int64_t col = 0; col < expert.cols; ++col) {
        EXPECT_EQ(row[static_cast<size_t>(col)], static_cast<float>(16 + col % 4 * 4 + 5 % 4)) << col;
      }
    }
  }
}

TEST(Checkpoint, TiedEmbeddingsServeTwice) {
  const TempFolder temp;
  HfWriteRequest request = MiniRequest(temp.path() / "m");
  std::erase_if(request.tensors, [](const TensorSpec& t) { return t.name == "lm_head.weight"; });
  auto config = nlohmann::json::parse(request.text_files["config.json"]);
  config["tie_word_embeddings"] = true;
  request.text_files["config.json"] = config.dump();
  WriteHfCheckpoint(request);
  const Checkpoint checkpoint = OpenCheckpoint(request.out);
  EXPECT_EQ(checkpoint.weights.unembedding.data, checkpoint.weights.embedding.data);
}

// ---- Several files ----

struct Sharded {
  TempFolder temp;
  fs::path folder = temp.path() / "m";
  nlohmann::json index;

  Sharded() {
    HfWriteRequest request = MiniRequest(folder);
    request.shard_bytes = 12'000;
    WriteHfCheckpoint(request);
    index = nlohmann::json::parse(ReadFile(folder / "model.safetensors.index.json"));
  }
  void SaveIndex() const { WriteFile(folder / "model.safetensors.index.json", index.dump()); }
  std::string FileOf(const std::string& tensor) const {
    return index["weight_map"][tensor].get<std::string>();
  }
};

TEST(CheckpointShards, NumberedAsPublishedAndWithAnyNames) {
  Sharded model;
  const Checkpoint checkpoint = OpenCheckpoint(model.folder);
  ASSERT_GT(checkpoint.files.size(), 2u);
  const std::string last = fmt::format("{:05}", checkpoint.files.size() - 1);
  EXPECT_TRUE(fs::exists(model.folder / fmt::format("model-00000-of-{}.safetensors", last)));
  EXPECT_TRUE(fs::exists(model.folder / fmt::format("model-{}-of-{}.safetensors", last, last)));
  EXPECT_EQ(OpenCheckpoint(checkpoint.files[1].path()).tensors.size(), 41u)
      << "one shard stands for the model";

  const std::string first = model.FileOf("lm_head.weight");
  fs::rename(model.folder / first, model.folder / "odd name of 7.weights");
  for (auto& [tensor, file] : model.index["weight_map"].items()) {
    if (file == first) file = "odd name of 7.weights";
  }
  model.SaveIndex();
  EXPECT_EQ(OpenCheckpoint(model.folder).tensors.size(), 41u);
}

TEST(CheckpointShards, SymbolicLinksAsInTheHubCache) {
  Sharded model;
  const fs::path blobs = model.temp.path() / "blobs";
  fs::create_directory(blobs);
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(model.folder)) paths.push_back(entry.path());
  for (size_t i = 0; i < paths.size(); ++i) {
    fs::rename(paths[i], blobs / std::to_string(i));
    fs::create_symlink(fs::path("../blobs") / std::to_string(i), paths[i]);
  }
  EXPECT_EQ(OpenCheckpoint(model.folder).tensors.size(), 41u);
  const fs::path shard = model.folder / model.FileOf("model.norm.weight");
  EXPECT_EQ(OpenCheckpoint(shard).tensors.size(), 41u);

  fs::remove(shard);
  fs::create_symlink(shard.filename(), shard);  // a link to itself
  ExpectError(kBad, {shard.filename().string()}, [&] { OpenCheckpoint(model.folder); });
  fs::remove(shard);
  ExpectError(kBad, {shard.filename().string(), "missing", "index.json names it", "again"},
              [&] { OpenCheckpoint(model.folder); });
  fs::create_directory(shard);
  ExpectError(kBad, {shard.filename().string(), "not a regular file"}, [&] { OpenCheckpoint(model.folder); });
}

// As transformers does; what is not used is named.
TEST(CheckpointShards, AWholeFileIsTheModelWhateverAnIndexSays) {
  Sharded model;
  HfWriteRequest whole = MiniRequest(model.temp.path() / "whole");
  WriteHfCheckpoint(whole);
  fs::copy_file(model.temp.path() / "whole/model.safetensors", model.folder / "model.safetensors");
  const auto opened = [&] {
    const testing::LogCapture log;
    Checkpoint checkpoint = OpenCheckpoint(model.folder);
    const std::string said = log.text();
    EXPECT_NE(said.find("model.safetensors.index.json: not used: model.safetensors is there too"), said.npos)
        << said;
    return checkpoint;
  };
  const Checkpoint both = opened();
  ASSERT_EQ(both.files.size(), 1u);
  EXPECT_EQ(both.files[0].path().filename(), "model.safetensors");

  fs::remove(model.folder / model.FileOf("model.norm.weight"));
  EXPECT_EQ(opened().tensors.size(), 41u);
  WriteFile(model.folder / "model.safetensors.index.json", "{");
  EXPECT_EQ(opened().tensors.size(), 41u);
}

TEST(CheckpointShards, IndexAndContentMustAgree) {
  const std::string norm = "model.norm.weight";
  {
    Sharded model;
    model.index["weight_map"]["model.extra"] = model.FileOf(norm);
    model.SaveIndex();
    ExpectError(kBad, {model.FileOf(norm), "lacks tensor \"model.extra\""},
                [&] { OpenCheckpoint(model.folder); });
  }
  {
    Sharded model;
    const std::string actual = model.FileOf(norm), other = model.FileOf("lm_head.weight");
    model.index["weight_map"][norm] = other;
    model.SaveIndex();
    ExpectError(kBad, {actual, norm, other}, [&] { OpenCheckpoint(model.folder); });
  }
  {
    Sharded model;
    fs::copy_file(model.folder / model.FileOf(norm), model.folder / "again.safetensors");
    model.index["weight_map"][norm] = "again.safetensors";
    model.SaveIndex();
    ExpectError(kBad, {"is also in again.safetensors"}, [&] { OpenCheckpoint(model.folder); });
  }
  {
    Sharded model;
    model.index["weight_map"][norm] = "../m/" + model.FileOf(norm);
    model.SaveIndex();
    ExpectError(kBad, {norm, "../m/"}, [&] { OpenCheckpoint(model.folder); });
  }
  {
    Sharded model;
    model.index["metadata"]["total_size"] = 1;
    model.SaveIndex();
    const testing::LogCapture log;
    OpenCheckpoint(model.folder);
    EXPECT_NE(log.text().find("total_size is 1"), std::string::npos);
  }
  {
    Sharded model;
    const fs::path shard = model.folder / model.FileOf(norm);
    fs::resize_file(shard, fs::file_size(shard) - 1);
    ExpectError(kBad, {shard.filename().string(), "data bytes"}, [&] { OpenCheckpoint(model.folder); });
  }
}

// ---- Other things than a Hugging Face checkpoint ----

TEST(CheckpointFormats, WhatIsNoModel) {
  const TempFolder temp;
  const fs::path& root = temp.path();
  const auto expect = [&](const fs::path& path, ErrorKind kind, const std::vector<std::string>& parts) {
    ExpectError(kind, parts, [&] { OpenCheckpoint(path); });
  };
  WriteFile(root / "a.gguf", "GGUF\x03");
  expect(root / "a.gguf", kBad, {"a.gguf: the version at byte 4"});
  expect(root, kBad, {"a.gguf: the version at byte 4"});
  WriteFile(root / "b.gguf", "GGML");
  expect(root / "b.gguf", kBad, {"b.gguf: begins with \"GGML\""});
  expect(root, kBad, {"2 GGUF models", "a.gguf"});
  WriteFile(root / "notes.txt", "hello");
  expect(root / "notes.txt", kBad, {"notes.txt", "not a model"});
  WriteFile(root / "empty", "");
  expect(root / "empty", kBad, {"empty", "not a model"});
  expect(root / "nowhere", kBad, {"nowhere", "no such file or folder", "expected"});
  expect(root / std::string(5000, 'x'), kBad, {"xxx"});
  expect("", kBad, {"no such file"});

  const auto folder = [&](const char* name) {
    fs::create_directory(root / name);
    return root / name;
  };
  expect(folder("bare"), kBad, {"bare", "no config.json"});
  WriteFile(folder("no-weights") / "config.json", PublishedConfigJson(testing::MiniConfig()));
  expect(root / "no-weights", kBad, {"no-weights", "no weights"});
  WriteFile(root / "no-weights/model.safetensors", "garbage");
  expect(root / "no-weights", kBad, {"model.safetensors", "7 bytes long"});
  expect(root / "no-weights/absent.safetensors", kBad, {"absent.safetensors"});
}

// ---- Inspect ----

TEST(Inspect, FiguresOfThePublishedShape) {
  SynthOptions options;
  options.preset = "gpt-oss-20b";
  const ModelConfig config = SynthConfig(options);
  int64_t bytes = 0;
  for (const TensorSpec& tensor : PublishedTensors(config)) bytes += tensor.bytes();
  EXPECT_EQ(PublishedTensors(config).size(), 459u);
  EXPECT_EQ(bytes, 13'761'264'768);  // total_size of the published index
  options.preset = "gpt-oss-120b";
  bytes = 0;
  for (const TensorSpec& tensor : PublishedTensors(SynthConfig(options))) bytes += tensor.bytes();
  EXPECT_EQ(bytes, 65'248'815'744);
}

TEST(Inspect, ReportsAgreeWithTheFiles) {
  const TempFolder temp;
  WriteHfCheckpoint(MiniRequest(temp.path() / "m"));
  const Checkpoint checkpoint = OpenCheckpoint(temp.path() / "m");
  const auto report = nlohmann::json::parse(InspectJson(checkpoint));
  int64_t tensor_bytes = 0, group_bytes = 0, group_tensors = 0;
  for (const auto& tensor : report["tensors"]) tensor_bytes += tensor["bytes"].get<int64_t>();
  for (const auto& group : report["groups"]) {
    group_bytes += group["bytes"].get<int64_t>();
    group_tensors += group["count"].get<int64_t>();
  }
  EXPECT_EQ(group_tensors, 41);
  EXPECT_EQ(group_bytes, tensor_bytes);
  EXPECT_EQ(report["costs"]["weight_bytes"], tensor_bytes);
  EXPECT_EQ(report["costs"]["kv_bytes_per_token"], 2 * 2 * 16 * 2);
  EXPECT_EQ(report["costs"]["kv_bytes_per_token_beyond_window"], 2 * 16 * 2);
  EXPECT_EQ(report["costs"]["kv_window_bytes"], 4 * 2 * 16 * 2);
  EXPECT_EQ(report["config"]["experts_per_token"], 1);
  EXPECT_EQ(report["files"][0]["bytes"], fs::file_size(temp.path() / "m/model.safetensors"));
  const std::string text = InspectText(checkpoint);
  const size_t layers = text.find("\n  model.layers.*., largest first ");
  ASSERT_NE(layers, std::string::npos) << text;
  const size_t row = text.find("\n  mlp.experts.gate_up_proj_blocks  2 x  ", layers);
  ASSERT_NE(row, std::string::npos) << text;
  EXPECT_LT(text.find("[2, 128, 1, 16]", row), text.find('\n', row + 1)) << text;
}

}  // namespace
}  // namespace oxidized
