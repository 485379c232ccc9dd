// GGUF models opened: the values are those of the Hugging Face form, whatever the names, types and files.
#include <gtest/gtest.h>

#include "audit/inspect.h"
#include "base/log_test_util.h"
#include "checkpoint/gguf/gguf_model_test_util.h"
#include "model/costs.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

using namespace testing;

constexpr ErrorKind kBad = ErrorKind::kBadFile;

TEST_F(GgufModel, EveryFormHoldsTheValuesOfTheHuggingFaceForm) {
  const Form forms[] = {
      {Naming::kLlamaCpp, kGgufF32, kGgufBf16, kGgufMxfp4},
      {Naming::kLlamaCpp, kGgufF32, kGgufF32, kGgufF32},
      {Naming::kLlamaCpp, kGgufBf16, kGgufBf16, kGgufBf16},
      {Naming::kLlamaCpp, kGgufF32, kGgufBf16, kGgufOllamaMxfp4},
      {Naming::kOllama, kGgufBf16, kGgufBf16, kGgufOllamaMxfp4},
      {Naming::kOllama, kGgufF32, kGgufF32, kGgufMxfp4},
      {Naming::kOllama, kGgufBf16, kGgufF32, kGgufBf16},
  };
  for (const Form& form : forms) {
    const Checkpoint gguf = Open(MakeGguf(hf_, form).Build());
    SCOPED_TRACE(gguf.format);
    ExpectSameValues(hf_.weights, gguf.weights);
    EXPECT_EQ(gguf.decoded.tensors, 0);
    for (const ExpertView& expert : gguf.weights.layers[1].gate_up) {
      EXPECT_EQ(expert.layout, form.experts == kGgufMxfp4         ? ExpertLayout::kGgmlMxfp4
                               : form.experts == kGgufOllamaMxfp4 ? ExpertLayout::kOllamaMxfp4
                                                                  : ExpertLayout::kRows);
      EXPECT_EQ(expert.up_values != nullptr, form.naming == Naming::kLlamaCpp);
    }
    EXPECT_NE(gguf.format.find(form.naming == Naming::kOllama ? "Ollama's names" : "llama.cpp's names"),
              std::string::npos);
    EXPECT_EQ(gguf.tensors.size(), form.naming == Naming::kOllama ? 2u * 13 + 3 : 2u * 19 + 3);
    EXPECT_EQ(ComputeCosts(gguf.config, gguf.weights).parameters,
              ComputeCosts(hf_.config, hf_.weights).parameters);
    Checkpoint read = Open(MakeGguf(hf_, form).Build(), "m.gguf");
    read.files[0].Own({{0, std::ssize(read.files[0].bytes())}});
    ExpectSameValues(hf_.weights, read.weights);
  }
}

TEST_F(GgufModel, TensorsThatDoNotFitAreNamed) {
  const auto broken = [&](const std::vector<std::string>& parts, const std::string& name,
                          const std::function<void(GgufBuilder::TensorSpec&)>& change) {
    GgufBuilder gguf = MakeGguf(hf_, {});
    for (GgufBuilder::TensorSpec& tensor : gguf.tensors()) {
      if (tensor.name == name) change(tensor);
    }
    ExpectBroken(gguf, kBad, parts);
  };
  const auto renamed = [](GgufBuilder::TensorSpec& t) { t.name = "x"; };
  broken({"\"blk.1.attn_q.weight\" is missing"}, "blk.1.attn_q.weight", renamed);
  broken({"\"blk.0.attn_sinks.weight\" is missing"}, "blk.0.attn_sinks.weight", renamed);
  broken({"\"token_embd.weight\" is missing"}, "token_embd.weight", renamed);
  broken({"blk.0.ffn_up_exps.weight", "[64, 2, 32]", "expected [2, 64, 32]"}, "blk.0.ffn_up_exps.weight",
         [](auto& t) { t.shape = {64, 2, 32}; });
  broken({"blk.0.attn_norm.weight", "is I32, expected"}, "blk.0.attn_norm.weight",
         [](auto& t) { t.type = 26; });
  broken({"blk.0.attn_norm.weight", "is Q8_0, expected F32, BF16 or F16"}, "blk.0.attn_norm.weight",
         [](auto& t) {
           t.type = kGgufQ8_0;
           t.bytes.resize(34);
         });
  broken({"\"token_embd.weight\" has shape [3072]"}, "token_embd.weight",
         [](auto& t) { t.shape = {96 * 32}; });
  broken({"blk.0.attn_q.weight", "only expert matrices"}, "blk.0.attn_q.weight", [](auto& t) {
    t.type = kGgufOllamaMxfp4;
    t.bytes.resize(32 * 17);
  });
  GgufBuilder layer = MakeGguf(hf_, {});
  std::erase_if(layer.tensors(), [](const auto& t) { return t.name.starts_with("blk.1."); });
  ExpectBroken(layer, kBad, {"blk.1.attn_norm.weight", "and 15 more"});
}

TEST_F(GgufModel, DimensionsOfOneAndTiedEmbeddingsAreTakenAsTheyCome) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  for (GgufBuilder::TensorSpec& tensor : gguf.tensors()) {
    if (tensor.name == "output_norm.weight") tensor.shape = {1, 1, 32};
  }
  std::erase_if(gguf.tensors(), [](const auto& t) { return t.name == "output.weight"; });
  const Checkpoint tied = Open(gguf.Build());
  EXPECT_EQ(tied.weights.unembedding.data, tied.weights.embedding.data);
  EXPECT_EQ(tied.weights.final_norm.size, 32);
}

// Every other block type becomes BF16 or F32, each value the block's own (rounded once for BF16).
TEST_F(GgufModel, OtherBlockTypesAreConverted) {
  for (const auto& [type, dtype] : {std::pair{2u, DType::kQ4_0},
                                    {3u, DType::kQ4_1},
                                    {6u, DType::kQ5_0},
                                    {7u, DType::kQ5_1},
                                    {20u, DType::kIq4Nl}}) {
    GgufBuilder gguf = MakeGguf(hf_, {});
    std::map<std::string, std::string> stored;
    for (GgufBuilder::TensorSpec& t : gguf.tensors()) {
      if (t.name != "blk.1.attn_output.weight" && t.name != "blk.0.ffn_gate_exps.weight" &&
          t.name != "blk.0.ffn_up_exps.weight") {
        continue;
      }
      int64_t elements = 1;
      for (const int64_t d : t.shape) elements *= d;
      t.type = type;
      t.bytes.resize(static_cast<size_t>(StoredBytes(dtype, elements)));
      const size_t block = static_cast<size_t>(BlockOf(dtype).bytes);
      for (size_t i = 0; i < t.bytes.size(); ++i) {
        const size_t in_block = i % block;  // f16 of about 1 where scales lie, anything elsewhere
        t.bytes[i] = static_cast<char>(in_block == 1 || in_block == 3 ? 0x3C : i * 37 + 11);
      }
      stored[t.name] = t.bytes;
    }
    for (const DType to : {DType::kBF16, DType::kF32}) {
      const Checkpoint checkpoint = Open(gguf.Build(), "m.gguf", {.decode_to = to});
      EXPECT_EQ(checkpoint.decoded.tensors, 3);
      EXPECT_EQ(checkpoint.decoded.bytes, (32 * 32 + 2 * 2 * 64 * 32) * (to == DType::kF32 ? 4 : 2));
      EXPECT_GT(checkpoint.decoded.ms, 0.0);
      const auto expect = [&](const std::string& name, const std::vector<float>& found) {
        const std::string& bytes = stored.at(name);
        std::vector<float> expected(found.size());
        DecodeStored(dtype, reinterpret_cast<const std::byte*>(bytes.data()),
                     static_cast<int64_t>(expected.size()), expected.data());
        if (to == DType::kBF16) {
          for (float& value : expected) value = RoundToBf16(value);
        }
        EXPECT_EQ(found, expected) << name << " " << Name(dtype);
      };
      const LayerWeights& first = checkpoint.weights.layers[0];
      EXPECT_EQ(checkpoint.weights.layers[1].o.dtype, to);
      expect("blk.1.attn_output.weight", Values(checkpoint.weights.layers[1].o));
      EXPECT_EQ(first.gate_up[0].layout, ExpertLayout::kRows);
      EXPECT_EQ(first.gate_up[0].dtype, to);
      expect("blk.0.ffn_gate_exps.weight", Rows(first.gate_up, 0, 2));
      expect("blk.0.ffn_up_exps.weight", Rows(first.gate_up, 1, 2));
      EXPECT_EQ(Rows(first.down, 0, 1), Rows(hf_.weights.layers[0].down, 0, 1)) << "still viewed in the file";
    }
    const Checkpoint plan = Open(gguf.Build(), "m.gguf", {.metadata_only = true});
    EXPECT_EQ(plan.decoded.tensors, 3);
    EXPECT_EQ(plan.decoded.ms, 0.0);
    EXPECT_NE(InspectText(plan).find("Converted at load  3 tensors"), std::string::npos);
    const std::string text = InspectText(plan);
    EXPECT_LT(text.find("\n  blk.*., largest first "), text.find("\n  attn_k.weight ")) << text;
    EXPECT_NE(text.find("\n  attn_k.weight "), std::string::npos) << text;
    EXPECT_NE(InspectText(plan).find(Name(dtype)), std::string::npos);
  }
}

TEST_F(GgufModel, Q8_0IsViewedDenseAndInExperts) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  for (GgufBuilder::TensorSpec& t : gguf.tensors()) {
    if (t.name != "output.weight" && t.name.find("_exps.weight") == std::string::npos) continue;
    int64_t elements = 1;
    for (const int64_t d : t.shape) elements *= d;
    t.type = kGgufQ8_0;
    t.bytes.clear();
    for (int64_t i = 0; i < elements / 32; ++i) {
      t.bytes += Raw(uint16_t{0x3000}) + std::string(32, static_cast<char>(i));
    }
  }
  const Checkpoint checkpoint = Open(gguf.Build());
  EXPECT_EQ(checkpoint.decoded.tensors, 0);
  EXPECT_EQ(checkpoint.weights.unembedding.dtype, DType::kQ8_0);
  EXPECT_EQ(Values(checkpoint.weights.unembedding)[32 * 5], 5.0f * 0.125f);
  const ExpertView& down = checkpoint.weights.layers[0].down[1];
  EXPECT_EQ(down.layout, ExpertLayout::kRows);
  EXPECT_EQ(down.dtype, DType::kQ8_0);
  std::vector<float> row(64);
  down.DecodeRow(2, row.data());
  EXPECT_EQ(row[0], static_cast<float>(static_cast<int8_t>(64 + 4)) * 0.125f);
  EXPECT_GT(ComputeCosts(checkpoint.config, checkpoint.weights).decode_bytes, 0);
}

// Gate and up of different types: nobody promises they are equal, and one ExpertView has one type.
TEST_F(GgufModel, GateAndUpOfDifferentTypesBecomeF32) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  for (GgufBuilder::TensorSpec& t : gguf.tensors()) {
    if (t.name != "blk.0.ffn_up_exps.weight") continue;
    t.type = kGgufBf16;
    t.bytes = Encode(Rows(hf_.weights.layers[0].gate_up, 1, 2), kGgufBf16);
  }
  const Checkpoint checkpoint = Open(gguf.Build());
  EXPECT_EQ(checkpoint.decoded.tensors, 2);
  ExpectSameValues(hf_.weights, checkpoint.weights);
}

TEST_F(GgufModel, ShardsOpenTogetherWhicheverIsNamed) {
  GgufBuilder whole = MakeGguf(hf_, {});
  std::vector<GgufBuilder> parts(3);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i == 0) AddMetadata(parts[0], hf_.config, Naming::kLlamaCpp);
    parts[i].U16("split.no", static_cast<uint16_t>(i)).U16("split.count", 3);
    parts[i].Value("split.tensors.count", 5, Raw(int32_t{41}));
  }
  size_t n = 0;
  for (const auto& t : whole.tensors()) parts[1 + n++ % 2].Tensor(t.name, t.shape, t.type, t.bytes);
  const auto name = [](int i) { return fmt::format("a-b-{:05}-of-00003.gguf", i); };
  const fs::path folder = temp_.path() / "shards";
  fs::create_directory(folder);
  for (int i = 0; i < 3; ++i) WriteFile(folder / name(i + 1), parts[static_cast<size_t>(i)].Build());
  for (const fs::path& path : {folder / name(1), folder / name(3), folder}) {
    const Checkpoint checkpoint = OpenCheckpoint(path);
    EXPECT_EQ(checkpoint.files.size(), 3u);
    EXPECT_EQ(checkpoint.tensors.size(), 41u);
    ExpectSameValues(hf_.weights, checkpoint.weights);
  }
  fs::rename(folder / name(2), folder / "elsewhere");
  ExpectError(kBad, {"a-b-00002-of-00003.gguf: missing", "3 files"},
              [&] { OpenCheckpoint(folder / name(1)); });
  WriteFile(folder / name(2), parts[2].Build());
  ExpectError(kBad, {name(2), "split.no is 2, expected 1"}, [&] { OpenCheckpoint(folder); });
  parts[1].values()[0] = RawString("split.no") + Raw(uint32_t{8}) + RawString("1");
  WriteFile(folder / name(2), parts[1].Build());
  ExpectError(kBad, {name(2), "split.no is not an integer"}, [&] { OpenCheckpoint(folder); });
  parts[2].values().clear();
  WriteFile(folder / name(2), parts[2].Build());
  ExpectError(kBad, {name(3), "is also in"}, [&] { OpenCheckpoint(folder); });
  fs::remove(folder / name(1));
  ExpectError(kBad, {"a-b-00001-of-00003.gguf: missing"}, [&] { OpenCheckpoint(folder); });
}

TEST_F(GgufModel, OllamasBlobsOpenByPathAndByFolder) {
  const fs::path models = temp_.path() / "models";
  const fs::path blob = models / "blobs" / ("sha256-" + std::string(64, 'a'));
  fs::create_directories(models / "blobs");
  WriteFile(blob, MakeGguf(hf_, {Naming::kOllama, kGgufBf16, kGgufBf16, kGgufOllamaMxfp4}).Build());
  WriteFile(models / "blobs" / ("sha256-" + std::string(64, 'b')), "{\"not\":\"a model\"}");
  for (const fs::path& path : {blob, models / "blobs", models}) {
    ExpectSameValues(hf_.weights, OpenCheckpoint(path).weights);
  }
  fs::copy_file(blob, models / "blobs" / ("sha256-" + std::string(64, 'c')));
  ExpectError(kBad, {"2 GGUF models", "name one of them"}, [&] { OpenCheckpoint(models); });
}

// Publishers of GGUF files leave config.json beside them.
TEST_F(GgufModel, AConfigFileBesideItChangesNothingUnlessThereAreSafetensors) {
  const fs::path folder = temp_.path() / "published";
  fs::create_directory(folder);
  fs::copy_file(temp_.path() / "hf/config.json", folder / "config.json");
  WriteFile(folder / "m.gguf", MakeGguf(hf_, {}).Build());
  EXPECT_EQ(OpenCheckpoint(folder).format, "GGUF version 3, llama.cpp's names, MXFP4 experts");
  fs::copy_file(temp_.path() / "hf/model.safetensors", folder / "model.safetensors");
  EXPECT_EQ(OpenCheckpoint(folder).format, hf_.format);
  EXPECT_EQ(OpenCheckpoint(folder / "m.gguf").files.front().path().filename(), "m.gguf");
}

TEST_F(GgufModel, UnknownTensorsAreOnlyWarnedOf) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  gguf.Tensor("rope_freqs.weight", {3}, kGgufF32, std::string(12, '\0')).Tensor("x", {4}, 24, "abcd");
  const testing::LogCapture log;
  EXPECT_EQ(Open(gguf.Build()).tensors.size(), 43u);
  EXPECT_NE(log.text().find("2 tensors ignored, not part of gpt-oss"), std::string::npos);
}

}  // namespace
}  // namespace oxidized
