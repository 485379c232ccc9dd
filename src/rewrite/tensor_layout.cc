#include "rewrite/tensor_layout.h"

#include "base/error.h"
#include "base/printable.h"
#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

// Names without the layer's prefix. A part without a name is written together with another one.
struct DenseRow {
  Part part;
  bool in_layer;
  bool matrix;  // a large matrix, which GGUF may store in few bits; all else is F32 there
  const char* hf;
  const char* original;
  const char* gguf;
};
constexpr DenseRow kDense[] = {
    {Part::kEmbedding, false, true, "model.embed_tokens.weight", "embedding.weight", "token_embd.weight"},
    {Part::kFinalNorm, false, false, "model.norm.weight", "norm.scale", "output_norm.weight"},
    {Part::kUnembedding, false, true, "lm_head.weight", "unembedding.weight", "output.weight"},
    {Part::kAttentionNorm, true, false, "input_layernorm.weight", "attn.norm.scale", "attn_norm.weight"},
    {Part::kQ, true, true, "self_attn.q_proj.weight", "attn.qkv.weight", "attn_q.weight"},
    {Part::kQBias, true, false, "self_attn.q_proj.bias", "attn.qkv.bias", "attn_q.bias"},
    {Part::kK, true, true, "self_attn.k_proj.weight", nullptr, "attn_k.weight"},
    {Part::kKBias, true, false, "self_attn.k_proj.bias", nullptr, "attn_k.bias"},
    {Part::kV, true, true, "self_attn.v_proj.weight", nullptr, "attn_v.weight"},
    {Part::kVBias, true, false, "self_attn.v_proj.bias", nullptr, "attn_v.bias"},
    {Part::kO, true, true, "self_attn.o_proj.weight", "attn.out.weight", "attn_output.weight"},
    {Part::kOBias, true, false, "self_attn.o_proj.bias", "attn.out.bias", "attn_output.bias"},
    {Part::kSinks, true, false, "self_attn.sinks", "attn.sinks", "attn_sinks.weight"},
    {Part::kMlpNorm, true, false, "post_attention_layernorm.weight", "mlp.norm.scale",
     "post_attention_norm.weight"},
    {Part::kRouter, true, false, "mlp.router.weight", "mlp.gate.weight", "ffn_gate_inp.weight"},
    {Part::kRouterBias, true, false, "mlp.router.bias", "mlp.gate.bias", "ffn_gate_inp.bias"},
};

struct ExpertRow {
  CheckpointFormat format;
  Part part;
  ExpertPiece piece;
  ExpertRows rows;
  const char* name;
};
constexpr CheckpointFormat kHf = CheckpointFormat::kHuggingFace;
constexpr CheckpointFormat kOpenAi = CheckpointFormat::kOriginal;
constexpr CheckpointFormat kGguf = CheckpointFormat::kGguf;
constexpr ExpertRow kExperts[] = {
    {kHf, Part::kGateUp, ExpertPiece::kBlocks, ExpertRows::kAll, "mlp.experts.gate_up_proj_blocks"},
    {kHf, Part::kGateUp, ExpertPiece::kScales, ExpertRows::kAll, "mlp.experts.gate_up_proj_scales"},
    {kHf, Part::kGateUp, ExpertPiece::kBias, ExpertRows::kAll, "mlp.experts.gate_up_proj_bias"},
    {kHf, Part::kDown, ExpertPiece::kBlocks, ExpertRows::kAll, "mlp.experts.down_proj_blocks"},
    {kHf, Part::kDown, ExpertPiece::kScales, ExpertRows::kAll, "mlp.experts.down_proj_scales"},
    {kHf, Part::kDown, ExpertPiece::kBias, ExpertRows::kAll, "mlp.experts.down_proj_bias"},
    {kOpenAi, Part::kGateUp, ExpertPiece::kBlocks, ExpertRows::kAll, "mlp.mlp1_weight.blocks"},
    {kOpenAi, Part::kGateUp, ExpertPiece::kScales, ExpertRows::kAll, "mlp.mlp1_weight.scales"},
    {kOpenAi, Part::kGateUp, ExpertPiece::kBias, ExpertRows::kAll, "mlp.mlp1_bias"},
    {kOpenAi, Part::kDown, ExpertPiece::kBlocks, ExpertRows::kAll, "mlp.mlp2_weight.blocks"},
    {kOpenAi, Part::kDown, ExpertPiece::kScales, ExpertRows::kAll, "mlp.mlp2_weight.scales"},
    {kOpenAi, Part::kDown, ExpertPiece::kBias, ExpertRows::kAll, "mlp.mlp2_bias"},
    {kGguf, Part::kGateUp, ExpertPiece::kMatrix, ExpertRows::kEven, "ffn_gate_exps.weight"},
    {kGguf, Part::kGateUp, ExpertPiece::kBias, ExpertRows::kEven, "ffn_gate_exps.bias"},
    {kGguf, Part::kGateUp, ExpertPiece::kMatrix, ExpertRows::kOdd, "ffn_up_exps.weight"},
    {kGguf, Part::kGateUp, ExpertPiece::kBias, ExpertRows::kOdd, "ffn_up_exps.bias"},
    {kGguf, Part::kDown, ExpertPiece::kMatrix, ExpertRows::kAll, "ffn_down_exps.weight"},
    {kGguf, Part::kDown, ExpertPiece::kBias, ExpertRows::kAll, "ffn_down_exps.bias"},
};

const char* NameIn(const DenseRow& row, CheckpointFormat format) {
  return format == kHf ? row.hf : format == kOpenAi ? row.original : row.gguf;
}

std::string LayerPrefix(CheckpointFormat format, int32_t layer) {
  const char* prefix = format == kHf ? "model.layers." : format == kOpenAi ? "block." : "blk.";
  return prefix + std::to_string(layer) + ".";
}

class Layout {
 public:
  Layout(const ModelConfig& config, CheckpointFormat format, LayoutTypes types)
      : config_(config), format_(format), types_(types) {}

  std::vector<LayoutTensor> Make() {
    for (const DenseRow& row : kDense) {
      if (!row.in_layer) AddDense(row, "", 0);
    }
    for (int32_t layer = 0; layer < config_.num_layers; ++layer) {
      const std::string prefix = LayerPrefix(format_, layer);
      for (const DenseRow& row : kDense) {
        if (row.in_layer) AddDense(row, prefix, layer);
      }
      for (const ExpertRow& row : kExperts) {
        if (row.format == format_) AddExperts(row, prefix, layer);
      }
    }
    return std::move(tensors_);
  }

 private:
  void AddDense(const DenseRow& row, const std::string& prefix, int32_t layer) {
    const char* name = NameIn(row, format_);
    if (name == nullptr) return;
    LayoutTensor tensor;
    tensor.layer = layer;
    tensor.parts = {row.part};
    if (format_ == kOpenAi && row.part == Part::kQ) tensor.parts = {Part::kQ, Part::kK, Part::kV};
    if (format_ == kOpenAi && row.part == Part::kQBias)
      tensor.parts = {Part::kQBias, Part::kKBias, Part::kVBias};
    int64_t rows = 0, cols = 0;
    for (const Part part : tensor.parts) {
      const PartShape shape = ShapeOf(config_, part, tensor.layer);
      rows += shape.rows;
      cols = shape.cols;
    }
    const DType dtype = format_ == kGguf && !row.matrix ? DType::kF32 : types_.dense;
    tensor.spec = {prefix + name, dtype, cols == 1 ? std::vector<int64_t>{rows} : std::vector{rows, cols}};
    CheckBlocks(tensor.spec);
    tensor.row_bytes = StoredBytes(dtype, cols);
    tensors_.push_back(std::move(tensor));
  }

  void AddExperts(const ExpertRow& row, const std::string& prefix, int32_t layer) {
    const PartShape shape = ShapeOf(config_, row.part, layer);
    const int64_t experts = config_.layer(layer).num_experts;
    const int64_t rows = row.rows == ExpertRows::kAll ? shape.rows : shape.rows / 2;
    const int64_t groups = shape.cols / kMxfp4BlockElements;
    LayoutTensor tensor;
    tensor.layer = layer;
    tensor.parts = {row.part};
    tensor.piece = row.piece;
    tensor.rows = row.rows;
    tensor.spec.name = prefix + row.name;
    switch (row.piece) {
      case ExpertPiece::kBlocks:
        tensor.spec.dtype = DType::kU8;
        tensor.spec.shape = {experts, rows, groups, kMxfp4BlockBytes};
        break;
      case ExpertPiece::kScales:
        tensor.spec.dtype = DType::kU8;
        tensor.spec.shape = {experts, rows, groups};
        break;
      case ExpertPiece::kMatrix:
        tensor.spec.dtype = types_.experts;
        tensor.spec.shape = {experts, rows, shape.cols};
        break;
      default:
        tensor.spec.dtype = format_ == kGguf ? DType::kF32 : types_.dense;
        tensor.spec.shape = {experts, rows};
    }
    CheckBlocks(tensor.spec);
    tensor.row_bytes = tensor.spec.bytes() / (experts * rows);
    tensors_.push_back(std::move(tensor));
  }

  static void CheckBlocks(const TensorSpec& spec) {
    const int block = BlockOf(spec.dtype).elements;
    if (spec.shape.back() % block == 0) return;
    Fail(ErrorKind::kUnsupported, "{} has rows of {}, which {} cannot hold: it takes multiples of {}",
         spec.name, Counted(spec.shape.back(), "value"), Name(spec.dtype), block);
  }

  const ModelConfig& config_;
  const CheckpointFormat format_;
  const LayoutTypes types_;
  std::vector<LayoutTensor> tensors_;
};

void CheckTypes(CheckpointFormat format, LayoutTypes types) {
  const auto refuse = [&](const char* what, DType found, const char* expected) {
    Fail(ErrorKind::kUnsupported, "the {} form cannot hold {} in {}, expected {}", Name(format), what,
         Name(found), expected);
  };
  const bool floats = types.dense == DType::kBF16 || types.dense == DType::kF16 || types.dense == DType::kF32;
  if (format == kOpenAi && types.dense != DType::kBF16) refuse("dense tensors", types.dense, "BF16");
  if (format == kHf && !floats) refuse("dense tensors", types.dense, "BF16, F16 or F32");
  if (!floats && types.dense != DType::kQ8_0) refuse("dense tensors", types.dense, "BF16, F16, F32 or Q8_0");
  if (types.experts == DType::kGgmlMxfp4) return;
  if (format != kGguf) refuse("experts", types.experts, "MXFP4");
  if (types.experts != DType::kF32 && types.experts != DType::kBF16)
    refuse("experts", types.experts, "MXFP4, BF16 or F32");
}

}  // namespace

std::vector<LayoutTensor> LayoutOf(const ModelConfig& config, CheckpointFormat format, LayoutTypes types) {
  CheckTypes(format, types);
  return Layout(config, format, types).Make();
}

}  // namespace oxidized
