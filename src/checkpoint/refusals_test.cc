// Models in forms that this program does not read: each is named, with what shows it and what to do.
#include "checkpoint/refusals.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "rewrite/testing/checkpoint_test_util.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::MiniRequest;
using testing::TempFolder;
using testing::WriteFile;
namespace fs = std::filesystem;

constexpr ErrorKind kBad = ErrorKind::kBadFile;
constexpr ErrorKind kUnsupported = ErrorKind::kUnsupported;

void ExpectRefused(const fs::path& path, ErrorKind kind, std::vector<std::string> parts) {
  parts.push_back(path.string());
  ExpectError(kind, parts, [&] { OpenCheckpoint(path); });
}

// A folder of small files.
fs::path Folder(const TempFolder& temp, const std::map<std::string, std::string>& files) {
  static int number = 0;
  const fs::path folder = temp.path() / std::to_string(number++);
  fs::create_directory(folder);
  for (const auto& [name, content] : files) {
    fs::create_directories((folder / name).parent_path());
    WriteFile(folder / name, content);
  }
  return folder;
}

const std::string kMetal = std::string("GPT-OSS v1.0\0\0\0\0", 16);

TEST(Refusals, FoldersOfOtherFormats) {
  const TempFolder temp;
  const struct {
    std::map<std::string, std::string> files;
    std::vector<std::string> parts;
  } cases[] = {
      {{{"adapter_config.json", R"({"base_model_name_or_path":"openai/gpt-oss-20b"})"},
        {"adapter_model.safetensors", ""},
        {"tokenizer.json", "{}"},
        {"training_args.bin", "PK"}},
       {"LoRA adapter", "adapter_config.json", "of \"openai/gpt-oss-20b\"", "merge_and_unload"}},
      {{{"adapter_config.json", "not JSON"}}, {"LoRA adapter"}},
      {{{"model.bin", kMetal}}, {"Metal", "model.bin", "safetensors"}},
      {{{"metal/model.bin", kMetal}}, {"Metal", "metal/", "safetensors"}},
      {{{"pytorch_model-00001-of-00002.bin", "PK\x03\x04"}},
       {"PyTorch", "pytorch_model-00001", "save_pretrained"}},
      {{{"consolidated.00.pth", "PK\x03\x04"}}, {"PyTorch", "consolidated.00.pth"}},
      {{{"model.onnx", "\x08\x07"}}, {"ONNX", "model.onnx"}},
      {{{"weights.00.npz", "PK"}}, {"MLX", "weights.00.npz"}},
      {{{"tokenizer.json", "{}"}, {"tokenizer_config.json", "{}"}},
       {"a tokenizer without a model", "tokenizer.json"}},
      {{{"o200k_base.tiktoken", ""}}, {"a tokenizer without a model", "o200k_base.tiktoken"}},
  };
  for (const auto& c : cases) ExpectRefused(Folder(temp, c.files), kUnsupported, c.parts);
}

TEST(Refusals, FilesOfOtherFormats) {
  const TempFolder temp;
  const fs::path folder =
      Folder(temp, {{"model.bin", kMetal},
                    {"renamed", kMetal},
                    {"pytorch_model.bin", "PK\x03\x04"},
                    {"model.onnx", ""},
                    {"tokenizer.json", "{}"},
                    {"model-q4.dat", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}});
  ExpectRefused(folder / "model.bin", kUnsupported, {"Metal"});
  ExpectRefused(folder / "renamed", kUnsupported, {"Metal"});
  ExpectRefused(folder / "pytorch_model.bin", kUnsupported, {"PyTorch"});
  ExpectRefused(folder / "model.onnx", kUnsupported, {"ONNX"});
  ExpectRefused(folder / "tokenizer.json", kUnsupported, {"a tokenizer without a model"});
  ExpectRefused(folder / "model-q4.dat", kBad, {"Git LFS pointer", "git lfs pull"});
}

TEST(Refusals, ConfigWithoutSafetensors) {
  const TempFolder temp;
  const std::string config = PublishedConfigJson(testing::MiniConfig());
  ExpectRefused(Folder(temp, {{"config.json", config}, {"pytorch_model.bin", "PK"}}), kUnsupported,
                {"PyTorch", "pytorch_model.bin"});
  ExpectRefused(Folder(temp, {{"config.json", config}, {"onnx/model.onnx", ""}}), kUnsupported,
                {"ONNX", "onnx/"});
  ExpectRefused(Folder(temp, {{"config.json", config}, {"tokenizer.json", "{}"}}), kBad,
                {"no weights", "model.safetensors.index.json"});
  ExpectError(kBad, {"Git LFS pointer", "model.safetensors"}, [&] {
    OpenCheckpoint(Folder(temp, {{"config.json", config},
                                 {"model.safetensors", "version https://git-lfs.github.com/spec/v1\n"}}));
  });
}

TEST(Refusals, IncompleteDownloads) {
  const TempFolder temp;
  ExpectRefused(Folder(temp, {{"original/model.safetensors", ""}}), kBad, {"original/", "not complete"});
  ExpectRefused(Folder(temp, {{"dtypes.json", "{}"}}), kBad, {"dtypes.json", "not complete"});
  ExpectRefused(Folder(temp, {{"snapshots/README", ""}}), kBad, {"snapshots/", "not complete"});
}

TEST(Refusals, WeightsWithoutTheirConfig) {
  const TempFolder temp;
  for (const char* weights :
       {"model-00001-of-00003.safetensors", "model.safetensors.index.json", "dtypes.json"}) {
    ExpectRefused(Folder(temp, {{weights, ""}, {"tokenizer.json", "{}"}, {"training_args.bin", "PK"}}), kBad,
                  {"no config.json", weights, "download it again"});
  }
  ExpectRefused(Folder(temp, {{"original/dtypes.json", "{}"}, {"tokenizer.json", "{}"}}), kBad,
                {"original/", "no config.json", "download it again"});
  // A file that is damaged itself is not blamed on its folder.
  ExpectRefused(Folder(temp, {{"x.safetensors", ""}}) / "x.safetensors", kBad, {"too short"});
}

TEST(Refusals, LfsPointersInPlaceOfAnyFile) {
  const TempFolder temp;
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  for (const char* name : {"config.json", "tokenizer.json", "model.gguf", "x.safetensors"}) {
    ExpectRefused(Folder(temp, {{name, pointer}}) / name, kBad, {name, "Git LFS pointer", "git lfs pull"});
  }
  const fs::path tokenizer = Folder(temp, {{"tokenizer.json", pointer}}) / "tokenizer.json";
  ExpectError(kBad, {tokenizer.string(), "Git LFS pointer"}, [&] { Tokenizer::Load(tokenizer); });
}

TEST(Refusals, WeightsAsTokenizer) {
  const TempFolder temp;
  WriteHfCheckpoint(MiniRequest(temp.path() / "m"));
  ExpectError(kBad, {"a safetensors file", "expected tokenizer.json"},
              [&] { Tokenizer::Load(temp.path() / "m/model.safetensors"); });
  WriteFile(temp.path() / "m.gguf", "GGUF\3");
  ExpectError(kBad, {"a GGUF file", "expected tokenizer.json"},
              [&] { Tokenizer::Load(temp.path() / "m.gguf"); });
}

TEST(Refusals, APipeIsNotWaitedFor) {
  const TempFolder temp;
  const fs::path pipe = temp.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  ExpectRefused(pipe, kBad, {"neither a file nor a folder"});
}

TEST(Refusals, OtherArchitectures) {
  const TempFolder temp;
  const auto expect = [&](const std::string& config, const std::vector<std::string>& parts,
                          ErrorKind kind = kUnsupported) {
    ExpectRefused(Folder(temp, {{"config.json", config}}), kind, parts);
  };
  expect(R"({"model_type":"llama","architectures":["LlamaForCausalLM"]})",
         {"\"llama\"", "(architecture \"LlamaForCausalLM\")", "expected \"gpt_oss\""});
  expect(R"({"model_type":"mixtral","architectures":["MixtralForCausalLM"],"num_local_experts":8})",
         {"\"mixtral\"", "only gpt-oss models"});
  expect(R"({"model_type":"qwen3_moe","num_experts":128})", {"\"qwen3_moe\""});
  expect(R"({"architectures":["BloomForCausalLM"]})", {"model_type is missing", "BloomForCausalLM"});
  expect("{}", {"model_type is missing"}, kBad);
}

TEST(Refusals, OtherQuantisationsByTheConfig) {
  const TempFolder temp;
  const auto expect = [&](const char* key, const nlohmann::json& quantization,
                          const std::vector<std::string>& parts) {
    auto config = nlohmann::json::parse(PublishedConfigJson(testing::MiniConfig()));
    config.erase("quantization_config");
    config[key] = quantization;
    ExpectRefused(Folder(temp, {{"config.json", config.dump()}}), kUnsupported, parts);
  };
  const char* usual = "quantization_config";
  expect(usual, {{"quant_method", "awq"}, {"bits", 4}}, {"\"awq\" (AWQ, bits \"4\")", "published MXFP4"});
  expect(usual, {{"quant_method", "gptq"}}, {"\"gptq\" (GPTQ)"});
  expect(usual, {{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}},
         {"bitsandbytes, load_in_4bit \"true\""});
  expect(usual, {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}}, {"NVIDIA ModelOpt", "\"NVFP4\""});
  expect(usual, {{"quant_method", "compressed-tensors"}, {"format", "nvfp4-pack-quantized"}},
         {"compressed-tensors", "nvfp4-pack-quantized"});
  expect(usual, {{"quant_method", "future"}}, {"quant_method is \"future\"", "published MXFP4"});
  expect(usual, {{"group_size", 64}, {"bits", 4}}, {"MLX", "\"64\""});
  expect("quantization", {{"group_size", 32}, {"bits", 8}, {"mode", "affine"}},
         {"config.json: quantization.", "MLX"});
}

TEST(Refusals, OtherLayoutsByTheirTensors) {
  const TempFolder temp;
  const struct {
    const char *tensor, *what;
  } cases[] = {
      {"model.layers.0.mlp.experts.gate_up_projs.3.weight", "one tensor per expert"},
      {"model.layers.0.mlp.experts.0.gate_proj.weight", "one tensor per expert"},
      {"model.layers.0.mlp.router.linear.weight", "router as a linear layer"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "LoRA adapter"},
      {"model.layers.0.self_attn.q_proj.base_layer.weight", "not merged"},
      {"model.layers.0.self_attn.q_proj.qweight", "AWQ or GPTQ"},
      {"model.layers.0.self_attn.q_proj.weight.absmax", "bitsandbytes"},
      {"model.layers.0.self_attn.q_proj.SCB", "bitsandbytes"},
      {"model.layers.0.mlp.experts.gate_up_proj_weight_scale_2", "NVFP4"},
      {"model.layers.0.self_attn.q_proj.weight_packed", "compressed-tensors"},
      {"model.layers.0.self_attn.q_proj.weight_scale_inv", "FP8"},
      {"model.layers.0.self_attn.q_proj.biases", "MLX"},
      {"block.0.attn.qkv.weight", "original/"},
  };
  for (const auto& [tensor, what] : cases) {
    HfWriteRequest request = MiniRequest(temp.path() / tensor);
    request.tensors.push_back({tensor, DType::kU8, {2, 2}});
    WriteHfCheckpoint(request);
    ExpectRefused(request.out, kUnsupported, {tensor, what, "does not read: "});
  }
}

TEST(Refusals, TensorsInFp8) {
  const TempFolder temp;
  HfWriteRequest request = MiniRequest(temp.path() / "m");
  testing::Spec(request, "model.layers.0.self_attn.q_proj.weight").dtype = DType::kF8E4M3;
  WriteHfCheckpoint(request);
  ExpectRefused(request.out, kUnsupported, {"q_proj.weight", "FP8", "published MXFP4"});
}

TEST(Refusals, NoneOfThemConcernsTheModelItself) {
  const TempFolder temp;
  WriteHfCheckpoint(MiniRequest(temp.path() / "m"));
  for (const char* stray :
       {"training_args.bin", "model.onnx", "adapter_config.json", "optimizer.pt", "model.bin"}) {
    WriteFile(temp.path() / "m" / stray, "");
  }
  WriteFile(temp.path() / "m/._model.safetensors", "macOS");
  EXPECT_EQ(OpenCheckpoint(temp.path() / "m").tensors.size(), 41u);
}

// ---- The Hugging Face cache ----

TEST(CacheEntry, OpensItsSnapshot) {
  const TempFolder temp;
  const fs::path entry = temp.path() / "models--openai--gpt-oss-20b";
  fs::create_directories(entry / "snapshots");
  fs::create_directories(entry / "blobs");
  WriteHfCheckpoint(MiniRequest(entry / "snapshots/6cee5e81"));
  const Checkpoint checkpoint = OpenCheckpoint(entry);
  EXPECT_EQ(checkpoint.tensors.size(), 41u);
  EXPECT_EQ(checkpoint.path, entry);

  fs::create_directory(entry / "snapshots/00000000");  // a second one: refs/main decides
  ExpectRefused(entry, kBad, {"2 snapshots", "refs/main"});
  fs::create_directory(entry / "refs");
  WriteFile(entry / "refs/main", "6cee5e81\n");
  EXPECT_EQ(OpenCheckpoint(entry).tensors.size(), 41u);
  WriteFile(entry / "refs/main", "../../elsewhere");
  ExpectRefused(entry, kBad, {"2 snapshots", "name one"});
}

}  // namespace
}  // namespace oxidized
