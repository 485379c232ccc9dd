#include "checkpoint/gguf/gguf_weights.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/message_text.h"
#include "checkpoint/missed_tensors.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

using Shape = std::vector<int64_t>;

bool IsFloat(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16; }

// Writers drop dimensions of 1 at the slow end, as ggml_n_dims does, or keep them.
Shape WithoutLeadingOnes(Shape shape) {
  const auto first = std::find_if(shape.begin(), shape.end(), [](int64_t d) { return d != 1; });
  shape.erase(shape.begin(), first);
  return shape;
}

// A tensor found to have the shape that was asked for; data null: it has not.
struct Found {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
  ExpertLayout layout = ExpertLayout::kRows;  // as an expert's matrix
};

// Looks tensors up by name, checks their shapes and types, and makes views of them.
class Binder {
 public:
  Binder(const ModelConfig& config, const GgufFiles& files, DType decode_to, std::string source)
      : config_(config), files_(files), decode_to_(decode_to), missed_(std::move(source)) {}

  GgufWeights Bind() {
    const ModelConfig& c = config_;
    result_.view.embedding = Matrix("token_embd.weight", c.vocab_size, c.hidden_size);
    for (int32_t layer = 0; layer < c.num_layers; ++layer) {
      result_.view.layers.push_back(BindLayer(fmt::format("blk.{}.", layer), c.layer(layer).num_experts));
    }
    result_.view.final_norm = Vector("output_norm.weight", c.hidden_size);
    // ggml's convention for tied embeddings.
    const bool tied = !Has("output.weight");
    result_.view.unembedding =
        tied ? result_.view.embedding : Matrix("output.weight", c.vocab_size, c.hidden_size);
    missed_.ThrowIfAny();
    missed_.WarnOfUnused(files_.tensors);
    return std::move(result_);
  }

 private:
  LayerWeights BindLayer(const std::string& layer, int64_t experts) {
    const ModelConfig& c = config_;
    LayerWeights w;
    w.attention_norm = Vector(layer + "attn_norm.weight", c.hidden_size);
    BindQkv(layer, w);
    w.sinks = Vector(Either(layer, "attn_sinks.weight", "attn_sinks"), c.num_heads);
    const std::string out = Either(layer, "attn_output.weight", "attn_out.weight");
    w.o = Matrix(out, c.hidden_size, c.query_width());
    w.o_bias = Vector(Either(layer, "attn_output.bias", "attn_out.bias"), c.hidden_size);
    w.mlp_norm = Vector(Either(layer, "post_attention_norm.weight", "ffn_norm.weight"), c.hidden_size);
    w.router = Matrix(layer + "ffn_gate_inp.weight", experts, c.hidden_size);
    w.router_bias = Vector(layer + "ffn_gate_inp.bias", experts);
    const int64_t width = c.expert_width;
    if (Has(layer + "ffn_gate_up_exps.weight")) {
      result_.ollama_names = true;
      w.gate_up = BindExperts({layer + "ffn_gate_up_exps"}, experts, 2 * width, c.hidden_size);
    } else {
      w.gate_up =
          BindExperts({layer + "ffn_gate_exps", layer + "ffn_up_exps"}, experts, 2 * width, c.hidden_size);
    }
    w.down = BindExperts({layer + "ffn_down_exps"}, experts, c.hidden_size, width);
    return w;
  }

  // Apart, or rows of q, k and v in one matrix.
  void BindQkv(const std::string& layer, LayerWeights& w) {
    const int64_t query = config_.query_width(), kv = config_.kv_width(), cols = config_.hidden_size;
    if (!Has(layer + "attn_qkv.weight")) {
      w.q = Matrix(layer + "attn_q.weight", query, cols);
      w.k = Matrix(layer + "attn_k.weight", kv, cols);
      w.v = Matrix(layer + "attn_v.weight", kv, cols);
      w.q_bias = Vector(layer + "attn_q.bias", query);
      w.k_bias = Vector(layer + "attn_k.bias", kv);
      w.v_bias = Vector(layer + "attn_v.bias", kv);
      return;
    }
    result_.ollama_names = true;
    const MatrixView fused = Matrix(layer + "attn_qkv.weight", query + 2 * kv, cols);
    const VectorView bias = Vector(layer + "attn_qkv.bias", query + 2 * kv);
    if (fused.data == nullptr || bias.data == nullptr) return;
    const auto rows = [&](int64_t begin, int64_t count) {
      return MatrixView{fused.data + begin * fused.row_bytes(), fused.dtype, count, cols};
    };
    const auto part = [&](int64_t begin, int64_t count) {
      return VectorView{bias.data + begin * Bits(bias.dtype) / 8, bias.dtype, count};
    };
    w.q = rows(0, query);
    w.k = rows(query, kv);
    w.v = rows(query + kv, kv);
    w.q_bias = part(0, query);
    w.k_bias = part(query, kv);
    w.v_bias = part(query + kv, kv);
  }

  // `names`: one stack of matrices, or the even and the odd rows of it; each maps cols to rows.
  std::vector<ExpertView> BindExperts(const std::vector<std::string>& names, int64_t num_experts,
                                      int64_t rows, int64_t cols) {
    const int64_t part_rows = rows / static_cast<int64_t>(names.size());
    std::vector<Found> matrices, biases;
    for (const std::string& name : names) {
      matrices.push_back(Lookup(name + ".weight", {num_experts, part_rows, cols}));
      biases.push_back(Floats(name + ".bias", {num_experts, part_rows}));
      if (matrices.back().data != nullptr) result_.expert_types.insert(Name(matrices.back().dtype));
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (matrices[i].data == nullptr || biases[i].data == nullptr) return {};
    }

    ExpertView first;
    first.rows = rows;
    first.cols = cols;
    const bool same =
        matrices.front().dtype == matrices.back().dtype && matrices.front().layout == matrices.back().layout;
    if (same && IsMxfp4(matrices.front().layout)) {
      first.layout = matrices.front().layout;
      first.dtype = matrices.front().dtype;
    } else {
      first.layout = ExpertLayout::kRows;
      for (size_t i = 0; i < names.size(); ++i) {
        // Gate and up of different types have one type in common, whatever they are.
        matrices[i] = AsMatrix(names[i] + ".weight", matrices[i], num_experts * part_rows, cols,
                               same ? decode_to_ : DType::kF32, /*always=*/!same);
      }
      if (matrices.front().data == nullptr || matrices.back().data == nullptr) return {};
      first.dtype = matrices.front().dtype;
    }

    const int64_t value_bytes = StoredBytes(first.dtype, part_rows * cols);
    const auto bias_of = [&](const Found& bias, int64_t e) {
      return VectorView{bias.data + e * part_rows * Bits(bias.dtype) / 8, bias.dtype, part_rows};
    };
    std::vector<ExpertView> experts(static_cast<size_t>(num_experts), first);
    for (int64_t e = 0; e < num_experts; ++e) {
      ExpertView& expert = experts[static_cast<size_t>(e)];
      expert.values = matrices.front().data + e * value_bytes;
      expert.bias = bias_of(biases.front(), e);
      if (names.size() == 1) continue;
      expert.up_values = matrices.back().data + e * value_bytes;
      expert.up_bias = bias_of(biases.back(), e);
    }
    return experts;
  }

  VectorView Vector(const std::string& name, int64_t size) {
    const Found found = Floats(name, {size});
    return found.data == nullptr ? VectorView{} : VectorView{found.data, found.dtype, size};
  }

  MatrixView Matrix(const std::string& name, int64_t rows, int64_t cols) {
    Found found = Lookup(name, {rows, cols});
    if (found.data == nullptr) return {};
    found = AsMatrix(name, found, rows, cols, decode_to_, /*always=*/false);
    return {found.data, found.dtype, rows, cols};
  }

  // A type that MatrixView and ExpertLayout::kRows have, planning a decoding where it must be, or `always`.
  Found AsMatrix(const std::string& name, const Found& found, int64_t rows, int64_t cols, DType to,
                 bool always) {
    if (found.data == nullptr || found.dtype == to) return found;
    if (!always && (IsFloat(found.dtype) || found.dtype == DType::kQ8_0)) return found;
    if (found.layout == ExpertLayout::kOllamaMxfp4) {
      missed_.Add(fmt::format("{} is MXFP4 of type 4, which only expert matrices have", Quoted(name)));
      return {};
    }
    return {result_.decoding.Plan(found.dtype, found.data, rows, cols, to), to};
  }

  bool Has(const std::string& name) const { return files_.tensors.contains(name); }

  // The name of a layer's tensor in llama.cpp's files unless it has Ollama's.
  std::string Either(const std::string& layer, const char* name, const char* ollama_name) {
    if (!Has(layer + ollama_name)) return layer + name;
    result_.ollama_names = true;
    return layer + ollama_name;
  }

  Found Floats(const std::string& name, const Shape& shape) {
    const Found found = Lookup(name, shape);
    if (found.data == nullptr || IsFloat(found.dtype)) return found;
    missed_.Add(fmt::format("{} is {}, expected F32, BF16 or F16", Quoted(name), Name(found.dtype)));
    return {};
  }

  // Of any type whose values can be read.
  Found Lookup(const std::string& name, const Shape& shape) {
    const auto found = files_.tensors.find(name);
    if (found == files_.tensors.end()) {
      missed_.Add(fmt::format("{} is missing", Quoted(name)));
      return {};
    }
    missed_.Use(found->first);
    const GgufTensor& entry = found->second.entry;
    if (WithoutLeadingOnes(entry.shape) != WithoutLeadingOnes(shape)) {
      missed_.Add(fmt::format("{} has shape {}, expected {}", Quoted(name), ShapeText(entry.shape),
                              ShapeText(shape)));
      return {};
    }
    if (!CanDecode(entry.dtype)) {
      missed_.Add(
          fmt::format("{} is {}, expected a type of floating point", Quoted(name), Name(entry.dtype)));
      return {};
    }
    return {files_.Data(found->second), entry.dtype, entry.experts};
  }

  const ModelConfig& config_;
  const GgufFiles& files_;
  const DType decode_to_;
  MissedTensors missed_;
  GgufWeights result_;
};

}  // namespace

GgufWeights BindGgufWeights(const ModelConfig& config, const GgufFiles& files, DType decode_to,
                            const std::string& source) {
  return Binder(config, files, decode_to, source).Bind();
}

}  // namespace oxidized
