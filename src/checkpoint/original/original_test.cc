// OpenAI's original/ layout, written here by hand from the tensors of a Hugging Face checkpoint: the same
// bits come out of both.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/original/original_config.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::MiniRequest;
using testing::ReadFile;
using testing::TempFolder;
using testing::WriteFile;
namespace fs = std::filesystem;

constexpr ErrorKind kBad = ErrorKind::kBadFile;

// One tensor of the layout, made of Hugging Face tensors one behind the other.
struct Row {
  std::string name;
  std::vector<std::string> parts;
};

std::vector<Row> Rows(int32_t layers) {
  std::vector<Row> rows = {{"embedding.weight", {"model.embed_tokens.weight"}},
                           {"norm.scale", {"model.norm.weight"}},
                           {"unembedding.weight", {"lm_head.weight"}}};
  for (int32_t n = 0; n < layers; ++n) {
    const std::string b = fmt::format("block.{}.", n), l = fmt::format("model.layers.{}.", n);
    const std::string a = l + "self_attn.", e = l + "mlp.experts.";
    for (const char* end : {"weight", "bias"}) {
      rows.push_back(
          {b + "attn.qkv." + end, {a + "q_proj." + end, a + "k_proj." + end, a + "v_proj." + end}});
      rows.push_back({b + "attn.out." + end, {a + "o_proj." + end}});
      rows.push_back({b + "mlp.gate." + end, {l + "mlp.router." + end}});
    }
    rows.push_back({b + "attn.norm.scale", {l + "input_layernorm.weight"}});
    rows.push_back({b + "attn.sinks", {a + "sinks"}});
    rows.push_back({b + "mlp.norm.scale", {l + "post_attention_layernorm.weight"}});
    for (const auto& [ours, theirs] : {std::pair("mlp1", "gate_up_proj"), std::pair("mlp2", "down_proj")}) {
      const std::string name = b + "mlp." + ours, from = e + theirs;
      rows.push_back({name + "_weight.blocks", {from + "_blocks"}});
      rows.push_back({name + "_weight.scales", {from + "_scales"}});
      rows.push_back({name + "_bias", {from + "_bias"}});
    }
  }
  return rows;
}

// The two forms of one random model; tests change what is to be written before writing it.
struct Forms {
  TempFolder temp;
  fs::path hf = temp.path() / "hf", original = temp.path() / "gpt-oss/original";
  HfWriteRequest request;
  nlohmann::json config, dtypes;

  Forms() {
    WriteHfCheckpoint(MiniRequest(hf));
    const Checkpoint checkpoint = OpenCheckpoint(hf);
    std::map<std::string, std::string> bytes;
    for (const Row& row : Rows(checkpoint.config.num_layers)) {
      TensorSpec spec{row.name, DType::kBF16, {}};
      for (const std::string& part : row.parts) {
        const StoredTensor& tensor = Stored(checkpoint, part);
        spec.dtype = tensor.dtype;
        const int64_t rows_before = spec.shape.empty() ? 0 : spec.shape[0];
        spec.shape = tensor.shape;
        spec.shape[0] += rows_before;
        bytes[row.name] += Bytes(part, tensor.bytes);
      }
      dtypes[row.name] = row.name.ends_with(".blocks")   ? "FP4"
                         : row.name.ends_with(".scales") ? "UE8"
                                                         : "BF16";
      request.tensors.push_back(std::move(spec));
    }
    config = {{"num_hidden_layers", 2},   {"num_experts", 2},
              {"experts_per_token", 1},   {"vocab_size", 96},
              {"hidden_size", 32},        {"intermediate_size", 64},
              {"swiglu_limit", 7.0},      {"head_dim", 8},
              {"num_attention_heads", 4}, {"num_key_value_heads", 2},
              {"sliding_window", 4},      {"initial_context_length", 4096},
              {"rope_theta", 150000},     {"rope_scaling_factor", 32.0},
              {"rope_ntk_alpha", 1},      {"rope_ntk_beta", 32}};
    request.out = original;
    request.fill = [bytes](const TensorSpec& tensor, int64_t offset, std::span<std::byte> out) {
      const auto found = bytes.find(tensor.name);
      if (found == bytes.end()) return;
      std::memcpy(out.data(), found->second.data() + offset, out.size());
    };
  }

  static const StoredTensor& Stored(const Checkpoint& checkpoint, const std::string& name) {
    for (const StoredTensor& tensor : checkpoint.tensors) {
      if (tensor.name == name) return tensor;
    }
    throw std::runtime_error("no tensor " + name);
  }
  static std::string Bytes(const std::string& name, int64_t size) {
    std::string bytes(static_cast<size_t>(size), '\0');
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>(i * 7 + name.size());  // MiniRequest's
    return bytes;
  }

  TensorSpec& Spec(const std::string& name) { return testing::Spec(request, name); }
  void Write() {
    request.text_files = {{"config.json", config.dump()}, {"dtypes.json", dtypes.dump()}};
    fs::create_directories(original.parent_path());
    WriteHfCheckpoint(request);
  }
  void ExpectBroken(const std::vector<std::string>& parts) {
    Write();
    ExpectError(kBad, parts, [&] { OpenCheckpoint(original); });
  }
};

void ExpectSame(const VectorView& a, const VectorView& b) {
  ASSERT_EQ(a.size, b.size);
  ASSERT_EQ(a.dtype, b.dtype);
  EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(a.size * Bits(a.dtype) / 8)), 0);
}
void ExpectSame(const MatrixView& a, const MatrixView& b) {
  ASSERT_EQ(a.rows, b.rows);
  ASSERT_EQ(a.cols, b.cols);
  ASSERT_EQ(a.dtype, b.dtype);
  EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(a.bytes())), 0);
}
void ExpectSame(const std::vector<ExpertView>& a, const std::vector<ExpertView>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t e = 0; e < a.size(); ++e) {
    ASSERT_EQ(a[e].layout, b[e].layout);
    ASSERT_EQ(a[e].rows, b[e].rows);
    ASSERT_EQ(a[e].cols, b[e].cols);
    const auto blocks = static_cast<size_t>(a[e].rows * a[e].cols / 2);
    EXPECT_EQ(std::memcmp(a[e].values, b[e].values, blocks), 0);
    EXPECT_EQ(std::memcmp(a[e].scales, b[e].scales, blocks / 16), 0);
    ExpectSame(a[e].bias, b[e].bias);
  }
}

void ExpectSameWeights(const WeightsView& a, const WeightsView& b) {
  ExpectSame(a.embedding, b.embedding);
  ExpectSame(a.unembedding, b.unembedding);
  ExpectSame(a.final_norm, b.final_norm);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (size_t n = 0; n < a.layers.size(); ++n) {
    const LayerWeights &x = a.layers[n], &y = b.layers[n];
    for (const auto part :
         {&LayerWeights::q, &LayerWeights::k, &LayerWeights::v, &LayerWeights::o, &LayerWeights::router})
      ExpectSame(x.*part, y.*part);
    for (const auto part :
         {&LayerWeights::attention_norm, &LayerWeights::q_bias, &LayerWeights::k_bias, &LayerWeights::v_bias,
          &LayerWeights::o_bias, &LayerWeights::sinks, &LayerWeights::mlp_norm, &LayerWeights::router_bias})
      ExpectSame(x.*part, y.*part);
    ExpectSame(x.gate_up, y.gate_up);
    ExpectSame(x.down, y.down);
  }
}

TEST(Original, HoldsTheBitsOfTheHuggingFaceForm) {
  Forms forms;
  forms.Write();
  const Checkpoint hf = OpenCheckpoint(forms.hf), original = OpenCheckpoint(forms.original);
  EXPECT_EQ(original.format, "OpenAI original, MXFP4 experts");
  EXPECT_EQ(original.tensors.size(), 15u * 2 + 3);
  EXPECT_EQ(original.config.layers, hf.config.layers);
  EXPECT_EQ(original.config.max_context, hf.config.max_context);
  EXPECT_EQ(original.config.rms_norm_eps, hf.config.rms_norm_eps);
  ExpectSameWeights(original.weights, hf.weights);
}

TEST(Original, AnyNameOfItWillDo) {
  Forms forms;
  forms.Write();
  const fs::path& folder = forms.original;
  WriteFile(folder.parent_path() / "README.md", "# gpt-oss");
  for (const fs::path& path : {folder, folder.parent_path(), folder / "config.json", folder / "dtypes.json",
                               folder / "model.safetensors"}) {
    const Checkpoint checkpoint = OpenCheckpoint(path);
    EXPECT_EQ(checkpoint.format, "OpenAI original, MXFP4 experts") << path;
    EXPECT_EQ(checkpoint.path, path);
    EXPECT_TRUE(checkpoint.tokenizer_candidates.empty());
  }
  WriteFile(folder.parent_path() / "tokenizer.json", "{}");
  EXPECT_EQ(OpenCheckpoint(folder.parent_path()).tokenizer_candidates.size(), 1u);

  // As published: the Hugging Face form at the root has the say.
  for (const auto& entry : fs::directory_iterator(forms.hf)) fs::copy(entry.path(), folder.parent_path());
  EXPECT_EQ(OpenCheckpoint(folder.parent_path()).format, "Hugging Face safetensors, MXFP4 experts");
  EXPECT_EQ(OpenCheckpoint(folder).format, "OpenAI original, MXFP4 experts");
}

TEST(Original, EveryFileOfTheFolderCounts) {
  Forms forms;
  forms.request.shard_bytes = 12'000;
  forms.Write();
  fs::remove(forms.original / "model.safetensors.index.json");
  WriteFile(forms.original / "notes.txt", "hello");
  WriteFile(forms.original / "._model.safetensors", "macOS");
  const Checkpoint checkpoint = OpenCheckpoint(forms.original);
  EXPECT_GT(checkpoint.files.size(), 2u);
  ExpectSameWeights(checkpoint.weights, OpenCheckpoint(forms.hf).weights);

  const fs::path shard = checkpoint.files[0].path();
  fs::copy_file(shard, forms.original / "copy.safetensors");
  ExpectError(kBad, {"is also in copy.safetensors"}, [&] { OpenCheckpoint(forms.original); });
  fs::remove(forms.original / "copy.safetensors");
  fs::remove(shard);
  ExpectError(kBad, {"is missing"}, [&] { OpenCheckpoint(forms.original); });
}

TEST(Original, WorksWithoutDtypes) {
  Forms forms;
  forms.Write();
  fs::remove(forms.original / "dtypes.json");
  EXPECT_EQ(OpenCheckpoint(forms.original).tensors.size(), 33u);
}

TEST(Original, UnquantisedExpertsAreRows) {
  Forms forms;
  std::erase_if(forms.request.tensors, [](const TensorSpec& t) { return t.name.ends_with(".scales"); });
  for (TensorSpec& tensor : forms.request.tensors) {
    if (!tensor.name.ends_with(".blocks")) continue;
    forms.dtypes.erase(tensor.name);
    tensor.name.resize(tensor.name.size() - 7);
    forms.dtypes[tensor.name] = "BF16";
    tensor.dtype = DType::kBF16;
    tensor.shape = {2, tensor.shape[1], tensor.shape[2] * 32};
  }
  forms.Write();
  const Checkpoint checkpoint = OpenCheckpoint(forms.original);
  EXPECT_EQ(checkpoint.format, "OpenAI original, unquantised experts");
  EXPECT_EQ(checkpoint.weights.layers[1].down[1].layout, ExpertLayout::kRows);
  EXPECT_EQ(checkpoint.weights.layers[1].down[1].values - checkpoint.weights.layers[1].down[0].values,
            32 * 64 * 2);
}

TEST(Original, TensorsThatDoNotFitAreNamed) {
  {
    Forms forms;
    std::erase_if(forms.request.tensors, [](const TensorSpec& t) { return t.name == "block.1.attn.sinks"; });
    forms.ExpectBroken({"\"block.1.attn.sinks\" is missing"});
  }
  {
    Forms forms;
    forms.Spec("block.0.attn.qkv.weight").shape = {32, 64};
    forms.ExpectBroken({"block.0.attn.qkv.weight", "[32, 64]", "expected [64, 32]"});
  }
  {
    Forms forms;
    forms.Spec("block.0.mlp.mlp2_weight.blocks").dtype = DType::kI8;
    forms.ExpectBroken({"block.0.mlp.mlp2_weight.blocks", "I8", "expected U8"});
  }
  {
    Forms forms;
    forms.dtypes["block.0.mlp.mlp1_weight.scales"] = "FP4";
    forms.ExpectBroken({"block.0.mlp.mlp1_weight.scales", "dtypes.json", "expected UE8"});
  }
  {
    Forms forms;
    forms.dtypes["block.0.attn.qkv.weight"] = "FP4";
    forms.ExpectBroken({"block.0.attn.qkv.weight", "expected BF16"});
  }
  {
    Forms forms;
    forms.config["num_experts"] = 16384;  // must not be believed before the tensors have been seen
    forms.ExpectBroken({"block.0.mlp.gate.weight", "expected [16384, 32]"});
  }
}

TEST(Original, TheConfigOfThePublishedModel) {
  const std::string json =
      R"({"num_hidden_layers":24,"num_experts":32,"experts_per_token":4,"vocab_size":201088,"hidden_size":2880,)"
      R"("intermediate_size":2880,"swiglu_limit":7.0,"head_dim":64,"num_attention_heads":64,)"
      R"("num_key_value_heads":8,"sliding_window":128,"initial_context_length":4096,"rope_theta":150000,)"
      R"("rope_scaling_factor":32.0,"rope_ntk_alpha":1,"rope_ntk_beta":32})";
  EXPECT_TRUE(IsOriginalConfig(json, "c"));
  const ModelConfig c = ParseOriginalConfig(json, "c");
  EXPECT_EQ(c.num_layers, 24);
  EXPECT_EQ(c.max_context, 131072);
  EXPECT_EQ(c.rope.beta_fast, 32.0);
  EXPECT_EQ(c.rope.beta_slow, 1.0);
  EXPECT_FALSE(c.rope.truncate);
  EXPECT_EQ(c.eos_token_ids, (std::vector<int32_t>{200002, 199999, 200012}));
  EXPECT_EQ(c.layers[0], LayerKind::kSliding);
  EXPECT_EQ(c.layers[23], LayerKind::kFull);

  EXPECT_FALSE(IsOriginalConfig(R"({"model_type":"qwen3_moe","num_experts":128})", "c"));
  const auto refused = [&](const std::string& from, const std::string& to,
                           const std::vector<std::string>& parts) {
    ExpectError(kBad, parts, [&] {
      ParseOriginalConfig(std::string(json).replace(json.find(from), from.size(), to), "c");
    });
  };
  refused("\"head_dim\":64,", "", {"head_dim is missing"});
  refused(":24,", ":-1,", {"c: "});
  refused(":24,", ":1e9,", {"c: "});
  refused(":32.0,", ":1e30,", {"rope_scaling_factor"});
  refused(":32.0,", ":\"x\",", {"rope_scaling_factor", "a number"});
}

TEST(Original, TensorsInFp8AreRefusedAsInTheOtherForm) {
  Forms forms;
  forms.Spec("block.1.attn.qkv.weight").dtype = DType::kF8E4M3;
  forms.Write();
  ExpectError(ErrorKind::kUnsupported,
              {"block.1.attn.qkv.weight", "F8_E4M3: FP8 quantisation", "published MXFP4"},
              [&] { OpenCheckpoint(forms.original); });
}

TEST(OriginalDtypes, OnlyKnownTypes) {
  const auto types = ParseOriginalDtypes(R"({"a.blocks":"FP4","a.scales":"UE8","b":"BF16","c":"F32"})", "d");
  EXPECT_EQ(types.at("a.blocks"), OriginalType::kFp4);
  EXPECT_EQ(types.at("a.scales"), OriginalType::kUe8);
  EXPECT_EQ(types.at("b"), OriginalType::kFloat);
  EXPECT_EQ(types.size(), 4u);
  const auto refused = [](const std::string& json, const std::vector<std::string>& parts) {
    ExpectError(kBad, parts, [&] { ParseOriginalDtypes(json, "d"); });
  };
  refused(R"({"a":"INT8"})", {"d: the type of \"a\"", "\"INT8\"", "expected \"FP4\""});
  ExpectError(ErrorKind::kUnsupported, {"d: tensor \"a\" is FP8: FP8 quantisation", "published MXFP4"},
              [] { ParseOriginalDtypes(R"({"a":"FP8"})", "d"); });
  refused(R"({"a":4})", {"\"a\"", "no string"});
  refused(R"({"a":"FP4","a":"UE8"})", {"appears twice"});
  refused("[]", {"expected a JSON object"});
  refused("{\"" + std::string(2000, 'x') + "\":\"FP4\"}", {"2000 bytes"});
}

}  // namespace
}  // namespace oxidized
