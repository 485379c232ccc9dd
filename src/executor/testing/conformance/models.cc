#include "executor/testing/conformance/models.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "base/error.h"
#include "executor/cpu/test_model.h"
#include "rewrite/hf_layout.h"
#include "rewrite/synth.h"

namespace oxidized::conformance {
namespace {

// Layers of `experts` experts, with these windows; 0: full attention.
std::vector<LayerConfig> Layers(int32_t experts, const std::vector<int32_t>& windows) {
  std::vector<LayerConfig> layers;
  for (const int32_t window : windows)
    layers.push_back({window > 0 ? std::optional(window) : std::nullopt, experts});
  return layers;
}

struct NarrowRow {
  const char* name;
  int32_t m, h, g, d, k, f, v;
  std::vector<LayerConfig> layers;
  DType dense;
  ExpertLayout experts;
};

// The first rows are the brief set.
const NarrowRow kNarrow[] = {
    {"published heads", 128, 16, 2, 64, 4, 64, 259, Layers(32, {40, 0, 40}), DType::kBF16,
     ExpertLayout::kMxfp4},
    {"odd sizes", 96, 9, 3, 10, 3, 32, 131, Layers(5, {9, 0, 9}), DType::kBF16, ExpertLayout::kMxfp4},
    {"three windows, experts that differ",
     64,
     8,
     2,
     16,
     2,
     96,
     97,
     {{9, 8}, {std::nullopt, 5}, {40, 12}, {std::nullopt, 8}},
     DType::kBF16,
     ExpertLayout::kMxfp4},
    {"window of two blocks", 64, 8, 2, 16, 2, 96, 97, Layers(8, {0, 64}), DType::kBF16, ExpertLayout::kMxfp4},
    {"full layers alone", 64, 4, 1, 32, 2, 32, 97, Layers(8, {0, 0}), DType::kBF16, ExpertLayout::kMxfp4},
    {"sliding layers alone, one expert a token", 64, 4, 4, 24, 1, 64, 67, Layers(4, {33, 33}), DType::kBF16,
     ExpertLayout::kMxfp4},
    {"window of one", 64, 8, 2, 16, 8, 32, 97, Layers(8, {1, 0}), DType::kBF16, ExpertLayout::kMxfp4},
    {"transposed", 64, 4, 4, 24, 4, 64, 67, Layers(4, {33, 0, 33}), DType::kBF16, ExpertLayout::kTransposed},
    {"f32 dense", 64, 4, 1, 64, 2, 64, 64, Layers(6, {65, 0, 65}), DType::kF32, ExpertLayout::kMxfp4},
    {"f16 dense, transposed", 32, 2, 1, 32, 1, 32, 64, Layers(6, {0, 128}), DType::kF16,
     ExpertLayout::kTransposed},
    {"Q8_0 and ggml's MXFP4", 64, 8, 2, 16, 2, 96, 97, Layers(8, {40, 0, 40}), DType::kQ8_0,
     ExpertLayout::kGgmlMxfp4},
    {"Ollama's MXFP4", 64, 8, 2, 16, 2, 96, 97, Layers(8, {40, 0}), DType::kQ8_0, ExpertLayout::kOllamaMxfp4},
    {"Q8_0 experts", 64, 4, 2, 16, 2, 64, 67, Layers(5, {33, 0, 33}), DType::kQ8_0, ExpertLayout::kRows},
};
constexpr size_t kBriefModels = 2;

Model Narrow(const NarrowRow& row) {
  ModelConfig c;
  c.num_layers = static_cast<int32_t>(row.layers.size());
  c.hidden_size = row.m;
  c.num_heads = row.h;
  c.num_kv_heads = row.g;
  c.head_dim = row.d;
  c.experts_per_token = row.k;
  c.expert_width = row.f;
  c.vocab_size = row.v;
  c.max_context = 1024;
  c.layers = row.layers;
  auto owner = std::make_shared<test::TestModel>(c, row.dense, row.experts);
  return {row.name, owner->config, owner->weights, owner, true};
}

// --- The published widths.

struct WideStorage {
  std::deque<std::vector<std::byte>> bytes;
  void* mapping = nullptr;
  size_t mapping_bytes = 0;
  ~WideStorage() {
    if (mapping != nullptr) munmap(mapping, mapping_bytes);
  }
};

class WideMaker {
 public:
  WideMaker(const ModelConfig& config, uint64_t seed) : config_(config), fill_(SynthFill(config, seed)) {
    for (TensorSpec& spec : PublishedTensors(config)) specs_.emplace(spec.name, std::move(spec));
  }

  std::shared_ptr<WideStorage> storage = std::make_shared<WideStorage>();

  // The first `bytes` of a tensor; all of it by default. Begins at an odd address, as a file may have it.
  const std::byte* Bytes(const std::string& name, int64_t bytes = -1) {
    const TensorSpec& spec = specs_.at(name);
    std::vector<std::byte>& kept =
        storage->bytes.emplace_back(static_cast<size_t>(bytes < 0 ? spec.bytes() : bytes) + 1);
    fill_(spec, 0, std::span(kept).subspan(1));
    return kept.data() + 1;
  }
  VectorView Vector(const std::string& name) {
    return {Bytes(name), DType::kBF16, specs_.at(name).shape.front()};
  }
  MatrixView Matrix(const std::string& name) {
    const std::vector<int64_t>& shape = specs_.at(name).shape;
    return {Bytes(name), DType::kBF16, shape[0], shape[1]};
  }
  // [E] windows of rows * cols values, each a few blocks behind the one before.
  std::vector<ExpertView> Experts(const std::string& name, int64_t rows, int64_t cols) {
    constexpr int64_t kBlocksApart = 191, kScalesApart = 89;  // no multiple of a row's
    const int64_t e = config_.most_experts(), blocks = rows * cols / 32;
    const std::byte* values = Bytes(name + "_blocks", (blocks + e * kBlocksApart) * 16);
    const std::byte* scales = Bytes(name + "_scales", blocks + e * kScalesApart);
    const std::byte* bias = Bytes(name + "_bias");
    std::vector<ExpertView> experts;
    for (int64_t i = 0; i < e; ++i) {
      ExpertView& view = experts.emplace_back();
      view.values = values + i * kBlocksApart * 16;
      view.scales = scales + i * kScalesApart;
      view.bias = {bias + i * rows * 2, DType::kBF16, rows};
      view.rows = rows;
      view.cols = cols;
    }
    return experts;
  }
  // Rows of a stretch of random values that is mapped again and again: a vocabulary of 201,088 in 32 MiB.
  // The stretch and a row have no common multiple within the matrix, so no two rows are equal.
  MatrixView Repeated(const std::string& name) {
    const std::vector<int64_t>& shape = specs_.at(name).shape;
    const int64_t stretch = sysconf(_SC_PAGESIZE) * ((int64_t{32} << 20) / sysconf(_SC_PAGESIZE) + 1);
    const int64_t wanted = shape[0] * shape[1] * 2;
    const int64_t times = (wanted + stretch - 1) / stretch;
    const int file = memfd_create("conformance", 0);
    if (file < 0 || ftruncate(file, stretch) != 0) Fail(ErrorKind::kNoMemory, "conformance: no memory file");
    void* all = mmap(nullptr, static_cast<size_t>(times * stretch), PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    OX_CHECK(all != MAP_FAILED);
    storage->mapping = all;
    storage->mapping_bytes = static_cast<size_t>(times * stretch);
    auto* begin = static_cast<std::byte*>(all);
    for (int64_t i = 0; i < times; ++i) {
      OX_CHECK(mmap(begin + i * stretch, static_cast<size_t>(stretch), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED);
    }
    close(file);
    fill_(specs_.at(name), 0, {begin, static_cast<size_t>(stretch)});
    return {begin, DType::kBF16, shape[0], shape[1]};
  }

 private:
  const ModelConfig& config_;
  const FillTensor fill_;
  std::map<std::string, TensorSpec> specs_;
};

Model Wide(const std::string& name, const char* preset, int32_t layers, int32_t vocabulary, int32_t window) {
  SynthOptions options;
  options.preset = preset;
  options.num_layers = layers;
  Model model;
  model.name = name;
  model.config = SynthConfig(options);
  model.optional = false;
  ModelConfig& c = model.config;
  const bool full_vocabulary = vocabulary == c.vocab_size;
  c.vocab_size = vocabulary;
  for (LayerConfig& layer : c.layers) {
    if (layer.slides()) layer.window = window;
  }
  c.eos_token_ids.clear();
  c.pad_token_id = -1;
  WideMaker maker(c, 16);
  WeightsView& w = model.weights;
  w.unembedding = full_vocabulary ? maker.Repeated("lm_head.weight") : maker.Matrix("lm_head.weight");
  // Tokens are few: with the whole vocabulary the embedding may be the same rows, scaled by what comes next.
  w.embedding = full_vocabulary ? w.unembedding : maker.Matrix("model.embed_tokens.weight");
  w.final_norm = maker.Vector("model.norm.weight");
  for (int32_t i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
    LayerWeights l;
    l.attention_norm = maker.Vector(layer + "input_layernorm.weight");
    l.mlp_norm = maker.Vector(layer + "post_attention_layernorm.weight");
    l.q = maker.Matrix(attention + "q_proj.weight");
    l.k = maker.Matrix(attention + "k_proj.weight");
    l.v = maker.Matrix(attention + "v_proj.weight");
    l.o = maker.Matrix(attention + "o_proj.weight");
    l.q_bias = maker.Vector(attention + "q_proj.bias");
    l.k_bias = maker.Vector(attention + "k_proj.bias");
    l.v_bias = maker.Vector(attention + "v_proj.bias");
    l.o_bias = maker.Vector(attention + "o_proj.bias");
    l.sinks = maker.Vector(attention + "sinks");
    l.router = maker.Matrix(mlp + "router.weight");
    l.router_bias = maker.Vector(mlp + "router.bias");
    l.gate_up = maker.Experts(mlp + "experts.gate_up_proj", 2 * c.expert_width, c.hidden_size);
    l.down = maker.Experts(mlp + "experts.down_proj", c.hidden_size, c.expert_width);
    w.layers.push_back(std::move(l));
  }
  model.storage = maker.storage;
  return model;
}

}  // namespace

std::span<const Model> NarrowModels(bool brief) {
  static std::vector<Model> made;  // as far as somebody wanted them; never moved
  made.reserve(std::size(kNarrow));
  const size_t wanted = brief ? kBriefModels : std::size(kNarrow);
  while (made.size() < wanted) made.push_back(Narrow(kNarrow[made.size()]));
  made.front().optional = false;
  return std::span(made).first(wanted);
}

const Model& MainModel() { return NarrowModels(true).front(); }

const Model& WideModel(int32_t experts) {
  if (experts == 128) {
    static const Model large = Wide("published widths, 128 experts", "gpt-oss-120b", 2, 1024, 128);
    return large;
  }
  OX_CHECK(experts == 32);
  static const Model small = Wide("published widths, 32 experts", "gpt-oss-20b", 3, 1024, 20);
  return small;
}

const Model& FullVocabularyModel() {
  static const Model model = Wide("published widths and vocabulary", "gpt-oss-20b", 2, 201088, 128);
  return model;
}

std::shared_ptr<Model> Damageable(const Model& model) {
  auto copy = std::make_shared<Model>(model);
  struct Kept {
    std::shared_ptr<void> original;
    std::deque<std::vector<std::byte>> bytes;
  };
  auto kept = std::make_shared<Kept>(Kept{model.storage, {}});
  const auto own = [&](const std::byte*& data, int64_t bytes) {
    data = kept->bytes.emplace_back(data, data + bytes).data();
  };
  const auto own_vector = [&](VectorView& v) { own(v.data, v.size * Bits(v.dtype) / 8); };
  own(copy->weights.embedding.data, copy->weights.embedding.bytes());
  own(copy->weights.unembedding.data, copy->weights.unembedding.bytes());
  for (LayerWeights& layer : copy->weights.layers) {
    for (ExpertView& e : layer.gate_up) own_vector(e.bias);
    for (ExpertView& e : layer.down) own_vector(e.bias);
  }
  copy->storage = kept;
  return copy;
}

}  // namespace oxidized::conformance
