#include "rewrite/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/model_files.h"
#include "rewrite/testing/checkpoint_test_util.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::ReadFile;
using testing::TempFolder;
using testing::WriteFile;
namespace fs = std::filesystem;

constexpr Part kDenseParts[] = {Part::kEmbedding, Part::kUnembedding, Part::kFinalNorm, Part::kAttentionNorm,
                                Part::kQ,         Part::kQBias,       Part::kK,         Part::kKBias,
                                Part::kV,         Part::kVBias,       Part::kSinks,     Part::kO,
                                Part::kOBias,     Part::kMlpNorm,     Part::kRouter,    Part::kRouterBias};

SynthOptions Tiny(const fs::path& out, CheckpointFormat format = CheckpointFormat::kHuggingFace) {
  SynthOptions options;
  options.preset = "tiny";
  options.num_layers = 2;
  options.seed = 7;
  options.out = out;
  options.format = format;
  options.tokenizer_source = "tests/golden/tokenizer/tokenizer.json";
  return options;
}

std::vector<float> Values(const MatrixView& matrix) {
  std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.cols));
  if (matrix.cols == 1) {
    VectorView{matrix.data, matrix.dtype, matrix.rows}.Decode(values.data());
    return values;
  }
  for (int64_t r = 0; r < matrix.rows; ++r) matrix.DecodeRow(r, values.data() + r * matrix.cols);
  return values;
}

std::vector<float> Values(const ExpertView& expert) {
  std::vector<float> values(static_cast<size_t>(expert.rows * (expert.cols + 1)));
  for (int64_t r = 0; r < expert.rows; ++r) {
    expert.DecodeRow(r, values.data() + r * (expert.cols + 1));
    values[static_cast<size_t>(r * (expert.cols + 1) + expert.cols)] = expert.bias_at(r);
  }
  return values;
}

// The largest difference between two models' values, relative to the largest value of the part; dense parts
// and experts apart.
struct Difference {
  double dense = 0.0, experts = 0.0;
};
Difference Compare(const Checkpoint& a, const Checkpoint& b) {
  Difference difference;
  const auto update = [](double& worst, const std::vector<float>& x, const std::vector<float>& y) {
    ASSERT_EQ(x.size(), y.size());
    double largest = 0.0, most = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(x[i])));
      most = std::max(most, std::fabs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
    }
    worst = std::max(worst, most / largest);
  };
  EXPECT_EQ(a.config.num_layers, b.config.num_layers);
  for (int32_t layer = 0; layer < a.config.num_layers; ++layer) {
    for (const Part part : kDenseParts) {
      update(difference.dense, Values(DensePart(a.weights, part, layer)),
             Values(DensePart(b.weights, part, layer)));
    }
    const LayerWeights& x = a.weights.layers[static_cast<size_t>(layer)];
    const LayerWeights& y = b.weights.layers[static_cast<size_t>(layer)];
    for (size_t e = 0; e < x.gate_up.size(); ++e) {
      update(difference.experts, Values(x.gate_up[e]), Values(y.gate_up[e]));
      update(difference.experts, Values(x.down[e]), Values(y.down[e]));
    }
  }
  return difference;
}

ConvertReport Convert(const fs::path& in, const fs::path& out, CheckpointFormat format,
                      LayoutTypes types = {}, bool quantize = false) {
  ConvertOptions options;
  options.in = in;
  options.out = out;
  options.format = format;
  options.types = types;
  options.quantize_experts = quantize;
  return ConvertCheckpoint(options);
}

TEST(Synth, TheSameSeedGivesTheSameValuesInEveryForm) {
  const TempFolder temp;
  Synthesize(Tiny(temp.path() / "hf"));
  const Checkpoint hf = OpenCheckpoint(temp.path() / "hf");
  const auto same = [&](const Difference& difference, double dense_tolerance) {
    EXPECT_LE(difference.dense, dense_tolerance);
    EXPECT_EQ(difference.experts, 0.0);
  };
  for (const auto& [type, tolerance] :
       {std::pair(DType::kBF16, 0.0), {DType::kF32, 0.0}, {DType::kF16, 1e-3}, {DType::kQ8_0, 0.005}}) {
    const fs::path out = temp.path() / (std::string(Name(type)) + ".gguf");
    SynthOptions options = Tiny(out, CheckpointFormat::kGguf);
    options.types.dense = type;
    Synthesize(options);
    const Checkpoint gguf = OpenCheckpoint(out);
    EXPECT_EQ(gguf.weights.layers[0].q.dtype, type);
    EXPECT_EQ(gguf.weights.layers[0].q_bias.dtype, DType::kF32);
    EXPECT_EQ(gguf.weights.layers[0].router.dtype, DType::kF32);
    same(Compare(hf, gguf), tolerance);
  }
  SynthOptions options = Tiny(temp.path() / "all_f32.gguf", CheckpointFormat::kGguf);
  options.types = {DType::kF32, DType::kF32};
  Synthesize(options);
  const Checkpoint f32 = OpenCheckpoint(options.out);
  EXPECT_EQ(f32.weights.layers[1].gate_up[3].layout, ExpertLayout::kRows);
  same(Compare(hf, f32), 0.0);

  options = Tiny(temp.path() / "original", CheckpointFormat::kOriginal);
  Synthesize(options);
  same(Compare(hf, OpenCheckpoint(options.out)), 0.0);
}

TEST(Convert, ThereAndBackGivesTheSameFile) {
  const TempFolder temp;
  const fs::path hf = temp.path() / "hf", original = temp.path() / "original",
                 gguf = temp.path() / "model.gguf", back = temp.path() / "back";
  Synthesize(Tiny(hf));
  Convert(hf, original, CheckpointFormat::kOriginal);
  Convert(original, gguf, CheckpointFormat::kGguf);
  const ConvertReport report = Convert(gguf, back, CheckpointFormat::kHuggingFace);
  EXPECT_TRUE(ReadFile(hf / "model.safetensors") == ReadFile(back / "model.safetensors"));
  // F32 norms and biases of GGUF came from bf16 and go back without loss.
  EXPECT_GT(report.written.dense.values, 0);
  EXPECT_EQ(report.written.dense.changed, 0);
  const auto config = nlohmann::json::parse(ReadFile(hf / "config.json"));
  // original/ has no ids that end a text, GGUF's reader no padding: the vocabulary tells.
  EXPECT_EQ(nlohmann::json::parse(ReadFile(back / "config.json")), config);
  EXPECT_EQ(ReadFile(back / "generation_config.json"), ReadFile(hf / "generation_config.json"));
  Convert(gguf, temp.path() / "again.gguf", CheckpointFormat::kGguf);
  EXPECT_EQ(Compare(OpenCheckpoint(gguf), OpenCheckpoint(temp.path() / "again.gguf")).dense, 0.0);
}

TEST(Convert, GgufHoldsWhatLlamaCppAsksFor) {
  const TempFolder temp;
  const fs::path path = temp.path() / "model.gguf";
  Synthesize(Tiny(path, CheckpointFormat::kGguf));
  const GgufFiles files = OpenGgufFiles(path);
  const Gguf& header = files.headers.front();
  EXPECT_EQ(header.version, 3u);
  struct Key {
    const char* name;
    GgufType type;
    bool array = false;
  };
  constexpr Key kKeys[] = {
      {"general.architecture", GgufType::kString},
      {"general.file_type", GgufType::kU32},
      {"general.quantization_version", GgufType::kU32},
      {"gpt-oss.block_count", GgufType::kU32},
      {"gpt-oss.context_length", GgufType::kU32},
      {"gpt-oss.embedding_length", GgufType::kU32},
      {"gpt-oss.feed_forward_length", GgufType::kU32},
      {"gpt-oss.expert_feed_forward_length", GgufType::kU32},
      {"gpt-oss.expert_count", GgufType::kU32},
      {"gpt-oss.expert_used_count", GgufType::kU32},
      {"gpt-oss.attention.head_count", GgufType::kU32},
      {"gpt-oss.attention.head_count_kv", GgufType::kU32},
      {"gpt-oss.attention.key_length", GgufType::kU32},
      {"gpt-oss.attention.value_length", GgufType::kU32},
      {"gpt-oss.attention.sliding_window", GgufType::kU32},
      {"gpt-oss.attention.layer_norm_rms_epsilon", GgufType::kF32},
      {"gpt-oss.rope.freq_base", GgufType::kF32},
      {"gpt-oss.rope.scaling.type", GgufType::kString},
      {"gpt-oss.rope.scaling.factor", GgufType::kF32},
      {"gpt-oss.rope.scaling.original_context_length", GgufType::kU32},
      {"tokenizer.ggml.model", GgufType::kString},
      {"tokenizer.ggml.pre", GgufType::kString},
      {"tokenizer.ggml.tokens", GgufType::kString, true},
      {"tokenizer.ggml.token_type", GgufType::kI32, true},
      {"tokenizer.ggml.merges", GgufType::kString, true},
      {"tokenizer.ggml.bos_token_id", GgufType::kU32},
      {"tokenizer.ggml.eos_token_id", GgufType::kU32},
      {"tokenizer.ggml.padding_token_id", GgufType::kU32},
  };
  for (const Key& key : kKeys) {
    const GgufValue* value = header.Find(key.name);
    ASSERT_NE(value, nullptr) << key.name;
    EXPECT_EQ(value->type, key.type) << key.name;
    EXPECT_EQ(value->is_array, key.array) << key.name;
  }
  const ModelConfig config = OpenCheckpoint(path).config;
  EXPECT_EQ(header.Find("tokenizer.ggml.tokens")->count, config.vocab_size);
  EXPECT_EQ(header.Find("tokenizer.ggml.token_type")->count, config.vocab_size);
  // As many merges as the tokenizer's file lists.
  const auto json = nlohmann::json::parse(ReadFile("tests/golden/tokenizer/tokenizer.json"));
  EXPECT_EQ(header.Find("tokenizer.ggml.merges")->count, json["model"]["merges"].size());
  GgufStrings merges(*header.Find("tokenizer.ggml.merges"));
  std::string_view text;
  for (const auto& merge : json["model"]["merges"]) {
    ASSERT_TRUE(merges.Next(text));
    const std::string expected = merge.is_string()
                                     ? merge.get<std::string>()
                                     : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    ASSERT_EQ(text, expected);
  }
  for (const GgufTensor& tensor : header.tensors) EXPECT_EQ(tensor.begin % 32, 0) << tensor.name;
}

// ---- Experts that are not MXFP4 ----

// The published form with its experts dequantised to `dtype`, each value times `factor`.
void WriteDequantised(const fs::path& in, const fs::path& out, DType dtype, float factor) {
  const Checkpoint source = OpenCheckpoint(in);
  const ModelConfig& c = source.config;
  HfWriteRequest request;
  request.out = out;
  for (TensorSpec spec : PublishedTensors(c)) {
    if (spec.name.ends_with("_scales")) continue;
    if (spec.name.ends_with("_blocks")) {
      spec.name.resize(spec.name.size() - 7);
      spec.dtype = dtype;
      const bool gate_up = spec.name.ends_with("gate_up_proj");
      spec.shape = {c.most_experts(), gate_up ? c.hidden_size : c.expert_width,
                    gate_up ? 2 * c.expert_width : c.hidden_size};
    }
    request.tensors.push_back(std::move(spec));
  }
  request.fill = [&](const TensorSpec& tensor, int64_t offset, std::span<std::byte> bytes) {
    ASSERT_EQ(offset, 0);
    if (!tensor.name.ends_with("_proj")) {
      for (const StoredTensor& stored : source.tensors) {
        if (stored.name != tensor.name) continue;
        const ModelFiles files = OpenModelFiles(in, std::nullopt);
        std::memcpy(bytes.data(), files.Data(files.tensors.find(tensor.name)->second), bytes.size());
      }
      return;
    }
    const auto layer = static_cast<size_t>(std::stoi(tensor.name.substr(std::strlen("model.layers."))));
    const LayerWeights& w = source.weights.layers[layer];
    const auto& experts = tensor.name.ends_with("gate_up_proj") ? w.gate_up : w.down;
    size_t at = 0;
    for (const ExpertView& expert : experts) {
      std::vector<float> values(static_cast<size_t>(expert.rows * expert.cols));
      for (int64_t r = 0; r < expert.rows; ++r) expert.DecodeRow(r, values.data() + r * expert.cols);
      for (int64_t col = 0; col < expert.cols; ++col) {
        for (int64_t r = 0; r < expert.rows; ++r) {
          const float value = values[static_cast<size_t>(r * expert.cols + col)] * factor;
          const uint16_t half = FloatToBf16(value);
          const size_t width = dtype == DType::kF32 ? 4 : 2;
          std::memcpy(bytes.data() + at, width == 4 ? static_cast<const void*>(&value) : &half, width);
          at += width;
        }
      }
    }
  };
  auto config = nlohmann::json::parse(PublishedConfigJson(c));
  config.erase("quantization_config");
  request.text_files = {{"config.json", config.dump()}};
  WriteHfCheckpoint(request);
}

TEST(Convert, QuantisesExpertsOnRequestOnly) {
  const TempFolder temp;
  const fs::path hf = temp.path() / "hf";
  SynthOptions synth = Tiny(hf);
  synth.num_layers = 1;
  Synthesize(synth);
  const Checkpoint published = OpenCheckpoint(hf);
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    const fs::path dequantised = temp.path() / Name(dtype);
    WriteDequantised(hf, dequantised, dtype, 1.0f);
    const fs::path out = temp.path() / (std::string(Name(dtype)) + "_back");
    ExpectError(ErrorKind::kUnsupported, {Name(dtype), "quantize_experts mxfp4"},
                [&] { Convert(dequantised, out, CheckpointFormat::kHuggingFace); });
    EXPECT_FALSE(fs::exists(out));
    // Values that were MXFP4 come back exactly (another scale with other codes may say the same values).
    const ConvertReport report = Convert(dequantised, out, CheckpointFormat::kHuggingFace, {}, true);
    EXPECT_EQ(report.written.experts.changed, 0);
    EXPECT_EQ(report.written.experts.values, 8 * 3 * 128 * 128);
    const Difference difference = Compare(published, OpenCheckpoint(out));
    EXPECT_EQ(difference.experts, 0.0);
    EXPECT_EQ(difference.dense, 0.0);
    // The same through GGUF's separate gate and up, and kept as they are.
    const fs::path gguf = temp.path() / (std::string(Name(dtype)) + ".gguf");
    Convert(dequantised, gguf, CheckpointFormat::kGguf, {}, true);
    EXPECT_EQ(Compare(published, OpenCheckpoint(gguf)).experts, 0.0);
    const fs::path kept = temp.path() / (std::string(Name(dtype)) + "_kept.gguf");
    Convert(dequantised, kept, CheckpointFormat::kGguf, {DType::kBF16, DType::kBF16});
    EXPECT_EQ(Compare(published, OpenCheckpoint(kept)).experts, 0.0);
  }
  // Values off the grid: the error is the one that the values show.
  WriteDequantised(hf, temp.path() / "tuned", DType::kF32, 1.1f);
  const ConvertReport report =
      Convert(temp.path() / "tuned", temp.path() / "rounded", CheckpointFormat::kHuggingFace, {}, true);
  EXPECT_GT(report.written.experts.changed, 100'000);
  EXPECT_GT(report.written.experts.RelativeRms(), 0.05);
  EXPECT_LT(report.written.experts.RelativeRms(), 0.2);
  EXPECT_FALSE(report.written.experts.worst.empty());
  const Checkpoint tuned = OpenCheckpoint(temp.path() / "tuned");
  const Checkpoint rounded = OpenCheckpoint(temp.path() / "rounded");
  double most = 0.0;
  for (size_t e = 0; e < tuned.weights.layers[0].down.size(); ++e) {
    for (const auto part : {&LayerWeights::gate_up, &LayerWeights::down}) {
      const auto x = Values((tuned.weights.layers[0].*part)[e]),
                 y = Values((rounded.weights.layers[0].*part)[e]);
      for (size_t i = 0; i < x.size(); ++i)
        most = std::max(most, std::fabs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
    }
  }
  EXPECT_EQ(report.written.experts.max_abs, most);
}

TEST(Convert, RefusesWhatAFormCannotHold) {
  const TempFolder temp;
  const fs::path hf = temp.path() / "hf", out = temp.path() / "out";
  Synthesize(Tiny(hf));
  ExpectError(ErrorKind::kUnsupported, {"original", "Q8_0", "BF16"},
              [&] { Convert(hf, out, CheckpointFormat::kOriginal, {DType::kQ8_0, DType::kGgmlMxfp4}); });
  ExpectError(ErrorKind::kUnsupported, {"hf", "F32", "MXFP4"},
              [&] { Convert(hf, out, CheckpointFormat::kHuggingFace, {DType::kBF16, DType::kF32}); });
  const auto damage = [&](const std::function<void(nlohmann::json&)>& change) {
    auto config = nlohmann::json::parse(ReadFile(hf / "config.json"));
    change(config);
    WriteFile(hf / "config.json", config.dump());
  };
  const std::string good = ReadFile(hf / "config.json");
  damage([](auto& config) { config["swiglu_limit"] = 5.0; });
  ExpectError(ErrorKind::kUnsupported, {"GGUF has no key for swiglu_limit", "5", "7"},
              [&] { Convert(hf, out, CheckpointFormat::kGguf); });
  WriteFile(hf / "config.json", good);
  damage([](auto& config) { config["layer_types"] = {"full_attention", "sliding_attention"}; });
  ExpectError(ErrorKind::kUnsupported, {"original/", "which layers slide"},
              [&] { Convert(hf, out, CheckpointFormat::kOriginal); });
  Convert(hf, temp.path() / "odd.gguf", CheckpointFormat::kGguf);  // has a key for it
  EXPECT_FALSE(OpenCheckpoint(temp.path() / "odd.gguf").config.layers[0].slides());
  EXPECT_FALSE(fs::exists(out));
}

// A finite value that f16 cannot hold is an error, not an infinity.
TEST(Convert, ValuesThatMakeNoSenseAreWarnedOfAndMoved) {
  const TempFolder temp;
  Synthesize(Tiny(temp.path() / "a"));
  ConvertOptions options;
  options.in = temp.path() / "a";
  options.out = temp.path() / "sound";
  EXPECT_EQ(ConvertCheckpoint(options).warnings, std::vector<std::string>{});
  const fs::path file = options.in / "model.safetensors";
  std::string bytes = ReadFile(file);
  const Checkpoint checkpoint = OpenCheckpoint(options.in);
  const auto* begin = reinterpret_cast<const char*>(checkpoint.files[0].bytes().data());
  const LayerWeights& layer = checkpoint.weights.layers[1];
  const auto damage = [&](const std::byte* at, const char* with, size_t n) {
    bytes.replace(static_cast<size_t>(reinterpret_cast<const char*>(at) - begin), n, with, n);
  };
  damage(layer.down[0].scales + 5, "\xFF", 1);
  damage(layer.q.data, "\xC0\x7F\xC0\x7F", 4);  // bf16 NaN, twice
  WriteFile(file, bytes);
  options.out = temp.path() / "b";
  int64_t looked_at = 0, in_all = 0;
  options.scan_progress = [&](int64_t done, int64_t total) {
    std::tie(looked_at, in_all) = std::pair(done, total);
  };
  const ConvertReport report = ConvertCheckpoint(options);
  ASSERT_EQ(report.warnings.size(), 2u);
  EXPECT_NE(report.warnings[0].find("layer 1, query weight: 2 NaN, the first at"), std::string::npos)
      << report.warnings[0];
  EXPECT_NE(report.warnings[1].find("expert 0, down: 1 block with the scale byte 255"), std::string::npos)
      << report.warnings[1];
  EXPECT_GT(in_all, 0);
  EXPECT_EQ(looked_at, in_all);
  EXPECT_EQ(ReadFile(options.out / "model.safetensors"), bytes);
  looked_at = 0;  // the name is taken now, and told before a look at anything
  ExpectError(ErrorKind::kBadFile, {"nothing is overwritten"}, [&] { ConvertCheckpoint(options); });
  EXPECT_EQ(looked_at, 0);
}

TEST(Convert, NarrowingNeverOverflows) {
  const TempFolder temp;
  HfWriteRequest request = testing::MiniRequest(temp.path() / "m");
  request.fill = [](const TensorSpec& tensor, int64_t, std::span<std::byte> bytes) {
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    if (tensor.name != "model.layers.1.self_attn.k_proj.weight") return;
    const uint16_t big = FloatToBf16(70000.0f);
    std::memcpy(bytes.data() + 20, &big, sizeof(big));
  };
  WriteHfCheckpoint(request);
  ExpectError(ErrorKind::kUnsupported, {"blk.1.attn_k.weight", "70144", "too large for F16"}, [&] {
    Convert(request.out, temp.path() / "m.gguf", CheckpointFormat::kGguf, {DType::kF16, DType::kGgmlMxfp4});
  });
  EXPECT_FALSE(fs::exists(temp.path() / "m.gguf"));
}

// ---- The encoder ----

// The same blocks in each layout that a file may have, gate and up together or apart.
TEST(TensorEncoder, MovesMxfp4OutOfEveryLayout) {
  ModelConfig config = testing::MiniConfig();
  const PartShape shape = ShapeOf(config, Part::kGateUp, 0);
  const auto groups = static_cast<size_t>(shape.cols / kMxfp4BlockElements);
  const auto rows = static_cast<size_t>(shape.rows);
  std::vector<uint8_t> blocks(rows * groups * 16), scales(rows * groups);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<uint8_t>(i * 167 + i / 256);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<uint8_t>(100 + i);
  // Row r of [rows, groups, 17] bytes, in ggml's or in safetensors' order of nibbles.
  const auto joined = [&](bool ggml, size_t first, size_t step) {
    std::vector<std::byte> bytes;
    for (size_t r = first; r < rows; r += step) {
      for (size_t b = r * groups; b < (r + 1) * groups; ++b) {
        uint8_t packed[16];
        std::memcpy(packed, blocks.data() + b * 16, 16);
        if (ggml) Mxfp4ToGgmlOrder(blocks.data() + b * 16, packed);
        bytes.push_back(static_cast<std::byte>(scales[b]));
        for (const uint8_t byte : packed) bytes.push_back(static_cast<std::byte>(byte));
      }
    }
    return bytes;
  };
  const std::vector<float> bias(rows, 0.5f);
  for (const ExpertLayout layout :
       {ExpertLayout::kMxfp4, ExpertLayout::kGgmlMxfp4, ExpertLayout::kOllamaMxfp4}) {
    for (const bool apart : {false, true}) {
      if (apart && layout == ExpertLayout::kMxfp4) continue;
      const bool ggml = layout == ExpertLayout::kGgmlMxfp4;
      const std::vector<std::byte> gate = joined(ggml, 0, apart ? 2 : 1), up = joined(ggml, 1, 2);
      ExpertView view;
      view.layout = layout;
      view.rows = shape.rows;
      view.cols = shape.cols;
      view.values = gate.data();
      if (layout == ExpertLayout::kMxfp4) {
        view.values = reinterpret_cast<const std::byte*>(blocks.data());
        view.scales = reinterpret_cast<const std::byte*>(scales.data());
      }
      if (apart) view.up_values = up.data();
      view.bias = {reinterpret_cast<const std::byte*>(bias.data()), DType::kF32,
                   apart ? shape.rows / 2 : shape.rows};
      if (apart) view.up_bias = view.bias;
      WeightsView weights;
      weights.layers.resize(static_cast<size_t>(config.num_layers));
      for (LayerWeights& layer : weights.layers) layer.gate_up = {view, view};
      const StoredWeights source(config, weights);

      TensorEncoder hf(source, LayoutOf(config, CheckpointFormat::kHuggingFace, {}));
      std::vector<std::byte> out(blocks.size());
      hf.Fill("model.layers.1.mlp.experts.gate_up_proj_blocks", static_cast<int64_t>(blocks.size()), out);
      EXPECT_EQ(std::memcmp(out.data(), blocks.data(), blocks.size()), 0);
      out.resize(scales.size());
      hf.Fill("model.layers.1.mlp.experts.gate_up_proj_scales", 0, out);
      EXPECT_EQ(std::memcmp(out.data(), scales.data(), scales.size()), 0);

      TensorEncoder gguf(source, LayoutOf(config, CheckpointFormat::kGguf, {}));
      const std::vector<std::byte> expected = joined(true, 1, 2);
      out.resize(2 * expected.size());
      gguf.Fill("blk.0.ffn_up_exps.weight", 0, out);  // both experts
      EXPECT_EQ(std::memcmp(out.data(), expected.data(), expected.size()), 0);
      EXPECT_EQ(std::memcmp(out.data() + expected.size(), expected.data(), expected.size()), 0);
      EXPECT_EQ(gguf.expert_error().values, 0);
    }
  }
}

}  // namespace
}  // namespace oxidized
