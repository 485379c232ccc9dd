#include "rewrite/synth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <numbers>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "checkpoint/checkpoint_tokenizer.h"
#include "rewrite/hf_layout.h"
#include "rewrite/model_writer.h"
#include "tensor/float16.h"
#include "tokenizer/o200k.h"

namespace oxidized {
namespace {

constexpr int64_t kDrawBytes = 16;  // of one Philox output

// ---- Presets ----

struct Preset {
  std::string_view name;
  int32_t layers, hidden, heads, kv_heads, head_dim, experts, experts_per_token, expert_width, vocab, window;
};

// small keeps the published widths' property of being no multiple of 128; tiny is for tests. Their vocabulary
// is that of tests/golden/tokenizer, rounded up to a multiple of 64.
constexpr Preset kPresets[] = {
    //  name        L   M     H   G  D   E    K  F     V       window
    {"gpt-oss-20b", 24, 2880, 64, 8, 64, 32, 4, 2880, 201088, 128},
    {"gpt-oss-120b", 36, 2880, 64, 8, 64, 128, 4, 2880, 201088, 128},
    {"small", 8, 576, 16, 2, 64, 16, 4, 576, 3136, 128},
    {"tiny", 4, 128, 8, 2, 32, 8, 2, 128, 3136, 32},
};
constexpr auto kPresetNames = [] {
  std::array<std::string_view, std::size(kPresets)> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = kPresets[i].name;
  return names;
}();

const Preset& FindPreset(const std::string& name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return preset;
  }
  std::string known;
  for (const std::string_view other : kPresetNames) known += (known.empty() ? "" : ", ") + std::string(other);
  Fail(ErrorKind::kUsage, "synth: unknown preset \"{}\", expected one of {}", name, known);
}

// ---- Distributions ----

// Standard deviation `gain`, divided by sqrt(fan-in) for a matrix applied to activations.
struct Distribution {
  std::string_view suffix;  // of the tensor's name; the first row that fits is taken
  double mean;
  double gain;
  bool per_fan_in;
};

constexpr Distribution kDistributions[] = {
    {"norm.weight", 1.0, 0.1, false},   {"embed_tokens.weight", 0.0, 1.0, false},
    {"lm_head.weight", 0.0, 2.0, true},  // logits spread over a few units
    {"sinks", 0.0, 1.0, false},         {"bias", 0.0, 0.1, false},
    {"weight", 0.0, 1.0, true},
};

// bf16 normal numbers by table: entry i is the (i + 1/2) / 65536 quantile, so that 16 random bits make one
// value.
using NormalTable = std::array<uint16_t, 65536>;

std::vector<double> StandardNormalQuantiles() {
  std::vector<double> quantiles(65536);
  double x = 0.0;
  for (int i = 32768; i < 65536; ++i) {
    const double p = (i + 0.5) / 65536.0;
    // Newton from the neighbour below: above 0 the distribution function is concave, so the steps never
    // overshoot.
    for (int step = 0; step < 8; ++step) {
      const double density = std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
      x += (p - 0.5 * std::erfc(-x / std::numbers::sqrt2)) / density;
    }
    quantiles[static_cast<size_t>(i)] = x;
    quantiles[static_cast<size_t>(65535 - i)] = -x;
  }
  return quantiles;
}

class Tables {
 public:
  std::shared_ptr<const NormalTable> Get(double mean, double deviation) {
    auto& table = made_[{mean, deviation}];
    if (!table) {
      auto fresh = std::make_shared<NormalTable>();
      for (size_t i = 0; i < fresh->size(); ++i) {
        (*fresh)[i] = FloatToBf16(static_cast<float>(mean + deviation * quantiles_[i]));
      }
      table = std::move(fresh);
    }
    return table;
  }

 private:
  const std::vector<double> quantiles_ = StandardNormalQuantiles();
  std::map<std::pair<double, double>, std::shared_ptr<const NormalTable>> made_;
};

// How to make one tensor's bytes.
struct Recipe {
  uint64_t stream = 0;                       // of the random numbers
  std::shared_ptr<const NormalTable> table;  // bf16 tensors
  int scale = -1;                            // the usual byte of a tensor of MXFP4 scales
};

uint64_t Fnv1a(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

// Uniform codes have the root mean square 2.926 and the spread of scales below adds 1.25: together with the
// scale they make a weight of deviation about 1 / sqrt(fan-in).
int UsualScale(int64_t fan_in) {
  return 127 + static_cast<int>(
                   std::lround(std::log2(1.0 / (2.926 * 1.25 * std::sqrt(static_cast<double>(fan_in))))));
}

Recipe MakeRecipe(const TensorSpec& tensor, Tables& tables) {
  Recipe recipe;
  recipe.stream = Fnv1a(tensor.name);
  if (tensor.dtype == DType::kU8) {
    if (tensor.name.ends_with("_scales")) recipe.scale = UsualScale(tensor.shape.back() * 32);
    return recipe;
  }
  for (const Distribution& row : kDistributions) {
    if (!tensor.name.ends_with(row.suffix)) continue;
    const double fan_in = static_cast<double>(tensor.shape.back());
    recipe.table = tables.Get(row.mean, row.per_fan_in ? row.gain / std::sqrt(fan_in) : row.gain);
    break;
  }
  OX_CHECK(recipe.table != nullptr);
  return recipe;
}

// 16 bytes of the tensor: MXFP4 codes are the random bits themselves, all 16 codes being equally likely.
void MakeDraw(const Recipe& recipe, uint64_t seed, uint64_t index, std::byte* out) {
  const std::array<uint32_t, 4> bits = RandomBits(seed, recipe.stream, index);
  if (recipe.table != nullptr) {
    uint16_t values[8];
    for (size_t i = 0; i < 4; ++i) {
      values[2 * i] = (*recipe.table)[bits[i] & 0xFFFFu];
      values[2 * i + 1] = (*recipe.table)[bits[i] >> 16];
    }
    std::memcpy(out, values, sizeof(values));
  } else if (recipe.scale >= 0) {
    constexpr int kSpread[4] = {-1, 0, 0, 1};
    for (size_t i = 0; i < kDrawBytes; ++i) {
      out[i] = static_cast<std::byte>(recipe.scale + kSpread[bits[i / 4] >> (8 * (i % 4)) & 3]);
    }
  } else {
    std::memcpy(out, bits.data(), sizeof(bits));
  }
}

// The tensors of the published form, made where and when rows of them are asked for.
class SynthWeights : public WeightSource {
 public:
  SynthWeights(const ModelConfig& config, uint64_t seed) : config_(config), fill_(SynthFill(config, seed)) {
    for (LayoutTensor& tensor : LayoutOf(config, CheckpointFormat::kHuggingFace, {})) {
      tensors_.emplace(Key(tensor.parts.front(), tensor.layer, tensor.piece), std::move(tensor));
    }
  }

  const ModelConfig& config() const override { return config_; }

  MatrixView Rows(Part part, int32_t layer, int64_t first, int64_t count, Scratch& scratch) const override {
    const std::byte* data = Make(part, layer, ExpertPiece::kNone, first, count, scratch.values);
    return {data, DType::kBF16, count, ShapeOf(config_, part).cols};
  }

  ExpertSlice Expert(Part part, int32_t layer, int32_t expert, int64_t first, int64_t count,
                     ExpertPiece piece, Scratch& scratch) const override {
    const PartShape shape = ShapeOf(config_, part);
    const int64_t row = expert * shape.rows + first;
    const auto wants = [&](ExpertPiece one) {
      return piece == one || (piece == ExpertPiece::kMatrix && one != ExpertPiece::kBias);
    };
    ExpertView view;
    view.layout = ExpertLayout::kMxfp4;
    view.rows = count;
    view.cols = shape.cols;
    if (wants(ExpertPiece::kBlocks))
      view.values = Make(part, layer, ExpertPiece::kBlocks, row, count, scratch.values);
    if (wants(ExpertPiece::kScales))
      view.scales = Make(part, layer, ExpertPiece::kScales, row, count, scratch.scales);
    if (wants(ExpertPiece::kBias)) {
      view.bias = {Make(part, layer, ExpertPiece::kBias, row, count, scratch.bias), DType::kBF16, count};
    }
    return {view, first};
  }

 private:
  using Key = std::tuple<Part, int32_t, ExpertPiece>;

  const std::byte* Make(Part part, int32_t layer, ExpertPiece piece, int64_t first, int64_t count,
                        std::vector<std::byte>& bytes) const {
    const LayoutTensor& tensor = tensors_.at(Key(part, layer, piece));
    const int64_t begin = first * tensor.row_bytes;
    const int64_t lead = begin % kDrawBytes;
    bytes.resize(static_cast<size_t>(lead + count * tensor.row_bytes));
    fill_(tensor.spec, begin - lead, bytes);
    return bytes.data() + lead;
  }

  const ModelConfig& config_;
  const FillTensor fill_;
  std::map<Key, LayoutTensor> tensors_;
};

}  // namespace

std::span<const std::string_view> SynthPresetNames() { return kPresetNames; }

ModelConfig SynthConfig(const SynthOptions& options) {
  const Preset& preset = FindPreset(options.preset);
  ModelConfig config;
  config.num_layers = options.num_layers.value_or(preset.layers);
  constexpr int32_t kMostLayers = 1024;
  if (config.num_layers < 1 || config.num_layers > kMostLayers) {
    Fail(ErrorKind::kUsage, "synth: {} layers, expected 1 to {}", config.num_layers, kMostLayers);
  }
  config.hidden_size = preset.hidden;
  config.num_heads = preset.heads;
  config.num_kv_heads = preset.kv_heads;
  config.head_dim = preset.head_dim;
  config.num_experts = preset.experts;
  config.experts_per_token = preset.experts_per_token;
  config.expert_width = preset.expert_width;
  config.vocab_size = preset.vocab;
  config.sliding_window = preset.window;
  for (int32_t i = 0; i < config.num_layers; ++i) {
    config.layers.push_back(i % 2 == 0 ? LayerKind::kSliding : LayerKind::kFull);
  }
  if (preset.vocab == kHarmonyIds) {
    config.eos_token_ids = {200002, 199999};
    config.pad_token_id = 199999;
  }
  ValidateConfig(config, "synth");
  return config;
}

FillTensor SynthFill(const ModelConfig& config, uint64_t seed) {
  Tables tables;
  std::map<std::string, Recipe, std::less<>> recipes;
  for (const TensorSpec& tensor : PublishedTensors(config))
    recipes.emplace(tensor.name, MakeRecipe(tensor, tables));
  return [recipes = std::move(recipes), seed](const TensorSpec& tensor, int64_t offset,
                                              std::span<std::byte> out) {
    const Recipe& recipe = recipes.find(tensor.name)->second;
    auto index = static_cast<uint64_t>(offset / kDrawBytes);
    size_t done = 0;
    for (; done + kDrawBytes <= out.size(); done += kDrawBytes)
      MakeDraw(recipe, seed, index++, out.data() + done);
    if (done < out.size()) {
      std::byte last[kDrawBytes];
      MakeDraw(recipe, seed, index, last);
      std::memcpy(out.data() + done, last, out.size() - done);
    }
  };
}

int64_t Synthesize(const SynthOptions& options) {
  ModelConfig config = SynthConfig(options);
  ModelOutput output;
  output.out = options.out;
  output.format = options.format;
  output.types = options.types;
  output.threads = options.threads;
  if (options.progress) {
    output.progress = [&](WritePhase, int64_t done, int64_t total) { options.progress(done, total); };
  }
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!options.tokenizer_source.empty()) {
    tokenizer = Tokenizer::Load(options.tokenizer_source);
    if (tokenizer->vocab_size() > config.vocab_size) {
      Fail(ErrorKind::kUsage, "synth: {} has {} tokens, the vocabulary of the preset {}",
           options.tokenizer_source.string(), tokenizer->vocab_size(), config.vocab_size);
    }
    TakeSpecialIds(*tokenizer, config);  // properties of the tokenizer, not of the preset
    const bool json = options.tokenizer_source.extension() == ".json";
    const std::string name = json ? "tokenizer.json" : options.tokenizer_source.filename().string();
    if (options.format != CheckpointFormat::kGguf)
      output.copied_files.emplace(name, options.tokenizer_source);
  } else if (config.vocab_size == kHarmonyIds) {
    tokenizer = Tokenizer::BuiltIn();
  }
  output.tokenizer = tokenizer.get();
  return WriteModel(SynthWeights(config, options.seed), output).tensor_bytes;
}

}  // namespace oxidized
