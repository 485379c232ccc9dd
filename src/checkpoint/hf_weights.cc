#include "checkpoint/hf_weights.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/message_text.h"
#include "tensor/mxfp4.h"

namespace oxidized {
namespace {

using Shape = std::vector<int64_t>;

// Looks tensors up and collects what does not fit, so that one message can show the pattern of the damage.
class Binder {
 public:
  Binder(const ModelFiles& files, std::string source) : files_(files), source_(std::move(source)) {}

  bool Has(const std::string& name) const { return files_.tensors.contains(name); }

  // nullptr, and a problem noted, unless the tensor exists with this shape and one of the types of 16 or 32
  // bits.
  const ModelFiles::Tensor* Floats(const std::string& name, const Shape& shape) {
    const ModelFiles::Tensor* tensor = Find(name, shape);
    if (tensor == nullptr) return nullptr;
    const DType dtype = tensor->entry.dtype;
    if (dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32) return tensor;
    return Problem(fmt::format("{} is {}, expected BF16, F16 or F32", Quoted(name), Name(dtype)));
  }

  const ModelFiles::Tensor* Bytes(const std::string& name, const Shape& shape) {
    const ModelFiles::Tensor* tensor = Find(name, shape);
    if (tensor == nullptr || tensor->entry.dtype == DType::kU8) return tensor;
    return Problem(fmt::format("{} is {}, expected U8", Quoted(name), Name(tensor->entry.dtype)));
  }

  VectorView Vector(const std::string& name, int64_t size) {
    const auto* tensor = Floats(name, {size});
    return tensor == nullptr ? VectorView{} : VectorView{files_.Data(*tensor), tensor->entry.dtype, size};
  }

  MatrixView Matrix(const std::string& name, int64_t rows, int64_t cols) {
    const auto* tensor = Floats(name, {rows, cols});
    return tensor == nullptr ? MatrixView{}
                             : MatrixView{files_.Data(*tensor), tensor->entry.dtype, rows, cols};
  }

  const std::byte* Data(const ModelFiles::Tensor& tensor) const { return files_.Data(tensor); }

  void ThrowIfBroken() const {
    if (problem_count_ == 0) return;
    std::string message = source_ + ": ";
    for (size_t i = 0; i < problems_.size(); ++i) message += (i == 0 ? "" : "; ") + problems_[i];
    if (problem_count_ > problems_.size()) {
      message += fmt::format("; and {} more tensors that do not fit", problem_count_ - problems_.size());
    }
    throw Error(ErrorKind::kBadFile, message);
  }

  void WarnOfUnused() const {
    std::vector<std::string> unused;
    for (const auto& [name, tensor] : files_.tensors) {
      if (!used_.contains(name)) unused.push_back(name);
    }
    if (unused.empty()) return;
    Log(LogLevel::kWarning, "{}: {} tensors are no part of gpt-oss and are ignored, the first {}", source_,
        unused.size(), Quoted(unused.front()));
  }

 private:
  std::nullptr_t Problem(std::string text) {
    constexpr size_t kShown = 4;
    if (problem_count_++ < kShown) problems_.push_back(std::move(text));
    return nullptr;
  }

  const ModelFiles::Tensor* Find(const std::string& name, const Shape& shape) {
    const auto found = files_.tensors.find(name);
    if (found == files_.tensors.end()) return Problem(fmt::format("{} is missing", Quoted(name)));
    used_.insert(found->first);
    if (found->second.entry.shape == shape) return &found->second;
    return Problem(fmt::format("{} has shape {}, expected {}", Quoted(name),
                               ShapeText(found->second.entry.shape), ShapeText(shape)));
  }

  const ModelFiles& files_;
  const std::string source_;
  std::set<std::string_view> used_;
  std::vector<std::string> problems_;
  size_t problem_count_ = 0;
};

// `name`: "model.layers.0.mlp.experts.gate_up_proj"; maps cols to rows. The vector of E experts is made only
// once the files have proved to hold them.
std::vector<ExpertView> BindExperts(Binder& binder, const HfConfig& config, const std::string& name,
                                    int64_t rows, int64_t cols, HfWeights& weights) {
  const int64_t num_experts = config.model.num_experts;
  const int64_t groups = cols / kMxfp4BlockElements;
  ExpertView first;
  first.rows = rows;
  first.cols = cols;
  const bool mxfp4 = binder.Has(name + "_blocks") || (config.claims_mxfp4 && !binder.Has(name));
  const ModelFiles::Tensor* values = nullptr;
  const ModelFiles::Tensor* scales = nullptr;
  if (mxfp4) {
    first.layout = ExpertLayout::kMxfp4;
    values = binder.Bytes(name + "_blocks", {num_experts, rows, groups, kMxfp4BlockBytes});
    scales = binder.Bytes(name + "_scales", {num_experts, rows, groups});
  } else {
    first.layout = ExpertLayout::kTransposed;
    values = binder.Floats(name, {num_experts, cols, rows});
  }
  const auto* bias = binder.Floats(name + "_bias", {num_experts, rows});
  if (values == nullptr || bias == nullptr || (mxfp4 && scales == nullptr)) return {};

  (mxfp4 ? weights.mxfp4 : weights.transposed) = true;
  first.dtype = values->entry.dtype;
  const int64_t value_bytes = (values->entry.end - values->entry.begin) / num_experts;
  const DType bias_dtype = bias->entry.dtype;
  const int64_t bias_bytes = rows * Bits(bias_dtype) / 8;
  std::vector<ExpertView> experts(static_cast<size_t>(num_experts), first);
  for (int64_t e = 0; e < num_experts; ++e) {
    ExpertView& expert = experts[static_cast<size_t>(e)];
    expert.values = binder.Data(*values) + e * value_bytes;
    if (mxfp4) expert.scales = binder.Data(*scales) + e * rows * groups;
    expert.bias = {binder.Data(*bias) + e * bias_bytes, bias_dtype, rows};
  }
  return experts;
}

LayerWeights BindLayer(Binder& binder, const HfConfig& config, const std::string& layer, HfWeights& weights) {
  const ModelConfig& c = config.model;
  const std::string attention = layer + "self_attn.";
  const std::string mlp = layer + "mlp.";
  LayerWeights w;
  w.attention_norm = binder.Vector(layer + "input_layernorm.weight", c.hidden_size);
  w.q = binder.Matrix(attention + "q_proj.weight", c.query_width(), c.hidden_size);
  w.k = binder.Matrix(attention + "k_proj.weight", c.kv_width(), c.hidden_size);
  w.v = binder.Matrix(attention + "v_proj.weight", c.kv_width(), c.hidden_size);
  w.q_bias = binder.Vector(attention + "q_proj.bias", c.query_width());
  w.k_bias = binder.Vector(attention + "k_proj.bias", c.kv_width());
  w.v_bias = binder.Vector(attention + "v_proj.bias", c.kv_width());
  w.sinks = binder.Vector(attention + "sinks", c.num_heads);
  w.o = binder.Matrix(attention + "o_proj.weight", c.hidden_size, c.query_width());
  w.o_bias = binder.Vector(attention + "o_proj.bias", c.hidden_size);
  w.mlp_norm = binder.Vector(layer + "post_attention_layernorm.weight", c.hidden_size);
  w.router = binder.Matrix(mlp + "router.weight", c.num_experts, c.hidden_size);
  w.router_bias = binder.Vector(mlp + "router.bias", c.num_experts);
  w.gate_up = BindExperts(binder, config, mlp + "experts.gate_up_proj", int64_t{2} * c.expert_width,
                          c.hidden_size, weights);
  w.down = BindExperts(binder, config, mlp + "experts.down_proj", c.hidden_size, c.expert_width, weights);
  return w;
}

// Layouts that other tools write, told apart by a part of a name that the published layout never has.
void RefuseOtherLayouts(const ModelFiles& files, const std::string& source) {
  struct Mark {
    const char* part;
    const char* layout;
  };
  constexpr Mark kMarks[] = {
      {".mlp.experts.gate_up_projs.", "an export with one tensor per expert"},
      {".mlp.experts.0.", "an export with one tensor per expert"},
      {"block.0.attn.qkv.", "OpenAI's original/ layout"},
      {".lora_A.", "a LoRA adapter"},
  };
  for (const auto& [name, tensor] : files.tensors) {
    for (const Mark& mark : kMarks) {
      if (name.find(mark.part) == std::string::npos) continue;
      Fail(ErrorKind::kUnsupported, "{}: tensor {} belongs to {}, which is not yet supported", source,
           Quoted(name), mark.layout);
    }
  }
}

}  // namespace

HfWeights BindHfWeights(const HfConfig& config, const ModelFiles& files, const std::string& source) {
  RefuseOtherLayouts(files, source);
  const ModelConfig& c = config.model;
  Binder binder(files, source);
  HfWeights weights;
  weights.view.embedding = binder.Matrix("model.embed_tokens.weight", c.vocab_size, c.hidden_size);
  for (int32_t layer = 0; layer < c.num_layers; ++layer) {
    weights.view.layers.push_back(BindLayer(binder, config, fmt::format("model.layers.{}.", layer), weights));
  }
  weights.view.final_norm = binder.Vector("model.norm.weight", c.hidden_size);
  const bool tied = config.tied_embeddings && !binder.Has("lm_head.weight");
  weights.view.unembedding =
      tied ? weights.view.embedding : binder.Matrix("lm_head.weight", c.vocab_size, c.hidden_size);
  binder.ThrowIfBroken();
  binder.WarnOfUnused();
  return weights;
}

}  // namespace oxidized
