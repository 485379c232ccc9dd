#include "executor/testing/conformance/compare_runs.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "executor/taps.h"
#include "kv/kv_layout.h"
#include "model/rope.h"
#include "support/compare.h"
#include "tensor/float16.h"

namespace oxidized::conformance {
namespace {

using test::Matrix;
using Row = std::vector<float>;

void ExpectClose(const Matrix& actual, const Matrix& expected, double tolerance, const std::string& what,
                 Findings& findings) {
  // Rows of zeros are what dropped tokens have.
  const test::Comparison comparison =
      test::Compare(actual, expected, {.tolerance = tolerance, .allow_constant = true});
  findings.Expect(comparison.failure.empty(), "{}: {}", what, comparison.failure);
}

std::string Named(const TapName& name) {
  return name.first < 0 ? name.second : fmt::format("{} of layer {}", name.second, name.first);
}

using RowsByPosition = std::map<int64_t, Row>;

// The rows of both at the positions that the expected ones have.
void ExpectRows(const RowsByPosition& actual, const RowsByPosition& expected, double tolerance,
                const std::string& what, Findings& findings) {
  Matrix a, e;
  for (const auto& [position, row] : expected) {
    const auto found = actual.find(position);
    if (found == actual.end() || found->second.size() != row.size()) {
      findings.Add("{}: position {} has {} values, expected {}", what, position,
                   found == actual.end() ? 0 : found->second.size(), row.size());
      return;
    }
    for (const auto& [matrix, values] : {std::pair{&a, &found->second}, std::pair{&e, &row}}) {
      matrix->values.insert(matrix->values.end(), values->begin(), values->end());
      matrix->cols = static_cast<int64_t>(values->size());
      ++matrix->rows;
    }
  }
  if (e.rows > 0) ExpectClose(a, e, tolerance, what, findings);
}

// --- The definition, stage by stage.

enum class Format : uint8_t { kF32, kBf16, kF16, kInt8 };

Format FormatNamed(const std::string& precision) {
  return precision == "bf16" ? Format::kBf16 : precision == "f16" ? Format::kF16 : Format::kF32;
}

Row Rounded(std::span<const float> values, Format format) {
  Row out(values.begin(), values.end());
  if (format == Format::kBf16) {
    for (float& v : out) v = RoundToBf16(v);
  } else if (format == Format::kF16) {
    for (float& v : out) v = F16ToFloat(FloatToF16(v));
  } else if (format == Format::kInt8) {
    for (size_t i = 0; i < out.size(); i += 32) {
      const std::span<float> block = std::span(out).subspan(i, std::min<size_t>(32, out.size() - i));
      float most = 0.0f;
      for (const float v : block) most = std::max(most, std::fabs(v));
      const float scale = most / 127.0f;
      if (scale == 0.0f) continue;
      for (float& v : block) v = std::nearbyint(v / scale) * scale;
    }
  }
  return out;
}

// What one input of a mixture, rounded to the other neighbour, may move its output by: between two programs
// the value before rounding differs in its last f32 bits. A step of the format, for a term that makes up a
// quarter of the range.
double RoundingStep(Format format) {
  return format == Format::kBf16   ? 0x1p-10
         : format == Format::kF16  ? 0x1p-13
         : format == Format::kInt8 ? 2e-3
                                   : 0.0;
}

double Dot(std::span<const float> a, std::span<const float> b) {
  double sums[4] = {};
  size_t i = 0;
  for (; i + 4 <= a.size(); i += 4) {
    for (size_t j = 0; j < 4; ++j) sums[j] += static_cast<double>(a[i + j]) * static_cast<double>(b[i + j]);
  }
  for (; i < a.size(); ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sums[0] + sums[1] + sums[2] + sums[3];
}

class Stages {
 public:
  Stages(const Model& model, const ExecutorInfo& info, const Sequence& sequence, StageScope scope,
         Findings& findings)
      : config_(model.config),
        weights_(model.weights),
        scope_(scope),
        sequence_(sequence),
        findings_(findings),
        layout_(model.config),
        base_(FormatNamed(info.precision)),
        lossy_(info.activations == "int8") {
    all_mxfp4_ = true;
    for (const LayerWeights& layer : weights_.layers) {
      for (const auto* experts : {&layer.gate_up, &layer.down}) {
        for (const ExpertView& e : *experts) {
          all_mxfp4_ = all_mxfp4_ && e.layout != ExpertLayout::kRows && e.layout != ExpertLayout::kTransposed;
        }
      }
    }
  }

  void Run() {
    const auto shown = sequence_.taps.find({-1, std::string(tap::kEmbedding)});
    if (!findings_.Expect(shown != sequence_.taps.end(), "no tap shows the embedding")) return;
    RowsByPosition expected;
    for (const auto& [position, row] : shown->second) {
      Row& values = expected[position] = Row(row.size());
      if (static_cast<int64_t>(row.size()) != config_.hidden_size) break;
      weights_.embedding.DecodeRow(sequence_.tokens[static_cast<size_t>(position)], values.data());
    }
    Hold(-1, tap::kEmbedding, expected, 0.0);
    const RowsByPosition* residual = &shown->second;
    for (int32_t layer = 0; layer < config_.num_layers; ++layer) {
      residual = Layer(layer, *residual);
      if (residual == nullptr) return;
    }
    Hold(-1, tap::kFinalNorm, Norm(*residual, weights_.final_norm), kStage);
    const RowsByPosition* normed = Shown(-1, tap::kFinalNorm);
    if (normed == nullptr) return;
    RowsByPosition wanted;
    for (const auto& [position, row] : *normed) {
      if (sequence_.logits.contains(position)) wanted[position] = row;
    }
    if (wanted.empty()) return;
    HoldProduct(-1, tap::kLogits, wanted, weights_.unembedding, nullptr, DenseFormat(weights_.unembedding));
    const RowsByPosition* tap = Shown(-1, tap::kLogits);
    for (const auto& [position, logits] : sequence_.logits) {
      if (tap == nullptr || !tap->contains(position)) continue;
      if (!findings_.Expect(SameBits(tap->at(position), logits), "the sink's logits at {} are not the tap's",
                            position))
        return;
    }
  }

 private:
  const RowsByPosition* Layer(int32_t layer, const RowsByPosition& residual) {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
    Hold(layer, tap::kAttentionNorm, Norm(residual, w.attention_norm), kStage);
    const RowsByPosition* normed = Shown(layer, tap::kAttentionNorm);
    if (normed == nullptr) return nullptr;
    HoldProduct(layer, tap::kQuery, *normed, w.q, &w.q_bias, DenseFormat(w.q), /*rotate=*/true);
    HoldProduct(layer, tap::kKey, *normed, w.k, &w.k_bias, DenseFormat(w.k), /*rotate=*/true);
    HoldProduct(layer, tap::kValue, *normed, w.v, &w.v_bias, DenseFormat(w.v));
    HoldAttention(layer, w.sinks);
    const RowsByPosition* attention = Shown(layer, tap::kAttention);
    if (attention == nullptr) return nullptr;
    HoldProduct(layer, tap::kAttentionOut, *attention, w.o, &w.o_bias, DenseFormat(w.o));
    HoldSum(layer, tap::kAttentionResidual, residual, tap::kAttentionOut);
    const RowsByPosition* x = Shown(layer, tap::kAttentionResidual);
    if (x == nullptr) return nullptr;

    Hold(layer, tap::kMlpNorm, Norm(*x, w.mlp_norm), kStage);
    const RowsByPosition* h = Shown(layer, tap::kMlpNorm);
    if (h == nullptr) return nullptr;
    HoldProduct(layer, tap::kRouterLogits, *h, w.router, &w.router_bias, Format::kF32);
    HoldMixture(layer, *h, w);
    HoldSum(layer, tap::kResidual, *x, tap::kMoeOut);
    return Shown(layer, tap::kResidual);
  }

  const RowsByPosition* Shown(int32_t layer, std::string_view name) {
    const auto found = sequence_.taps.find({layer, std::string(name)});
    if (findings_.Expect(found != sequence_.taps.end(), "no tap shows {}", Named({layer, std::string(name)})))
      return &found->second;
    return nullptr;
  }

  void Hold(int32_t layer, std::string_view name, const RowsByPosition& expected, double tolerance) {
    const RowsByPosition* actual = Shown(layer, name);
    if (actual != nullptr)
      ExpectRows(*actual, expected, tolerance, Named({layer, std::string(name)}), findings_);
  }

  Format DenseFormat(const MatrixView& w) const {
    return lossy_ && w.dtype == DType::kQ8_0 ? Format::kInt8 : base_;
  }
  Format ExpertFormat() const { return lossy_ && all_mxfp4_ ? Format::kInt8 : base_; }

  RowsByPosition Norm(const RowsByPosition& x, const VectorView& scale) const {
    Row scales(static_cast<size_t>(config_.hidden_size));
    scale.Decode(scales.data());
    RowsByPosition out;
    for (const auto& [position, row] : x) {
      const double mean = Dot(row, row) / static_cast<double>(row.size());
      const double factor = 1.0 / std::sqrt(mean + static_cast<double>(config_.rms_norm_eps));
      Row& y = out[position] = row;
      for (size_t i = 0; i < y.size(); ++i)
        y[i] = static_cast<float>(static_cast<double>(row[i]) * factor * static_cast<double>(scales[i]));
    }
    return out;
  }

  // Outputs of a product with `rows` of them that are recomputed. A rotated output needs its partner.
  std::vector<int64_t> Columns(int64_t rows, bool rotate) const {
    std::set<int64_t> columns;
    const int64_t wanted = scope_.columns > 0 ? std::min(scope_.columns, rows) : rows;
    for (int64_t i = 0; i < wanted; ++i) {
      const int64_t column = wanted == 1 ? 0 : i * (rows - 1) / (wanted - 1);
      columns.insert(column);
      const int64_t half = config_.head_dim / 2, in_head = column % config_.head_dim;
      if (rotate) columns.insert(in_head < half ? column + half : column - half);
    }
    return {columns.begin(), columns.end()};
  }

  void HoldProduct(int32_t layer, std::string_view name, const RowsByPosition& x, const MatrixView& w,
                   const VectorView* bias, Format format, bool rotate = false) {
    const RowsByPosition* actual = Shown(layer, name);
    if (actual == nullptr) return;
    const std::vector<int64_t> columns = Columns(w.rows, rotate);
    std::map<int64_t, Row> rounded;
    RowsByPosition expected, picked;
    for (const auto& [position, row] : x) {
      if (static_cast<int64_t>(row.size()) != w.cols) return findings_.Add("a tap of the wrong width");
      rounded[position] = Rounded(row, format);
      expected[position].resize(columns.size());
      const auto found = actual->find(position);
      if (found == actual->end() || static_cast<int64_t>(found->second.size()) != w.rows) continue;
      for (const int64_t column : columns)
        picked[position].push_back(found->second[static_cast<size_t>(column)]);
    }
    Row weights(static_cast<size_t>(w.cols));
    for (size_t c = 0; c < columns.size(); ++c) {
      w.DecodeRow(columns[c], weights.data());
      const double b = bias != nullptr ? static_cast<double>((*bias)[columns[c]]) : 0.0;
      for (auto& [position, row] : rounded) expected[position][c] = static_cast<float>(Dot(row, weights) + b);
    }
    if (rotate) {
      for (auto& [position, row] : expected) Rotate(position, columns, row);
    }
    ExpectRows(picked, expected, kStage, Named({layer, std::string(name)}), findings_);
  }

  // Half-split pairs: element i of a head turns with element i + D/2.
  void Rotate(int64_t position, const std::vector<int64_t>& columns, Row& row) const {
    const int64_t half = config_.head_dim / 2;
    Row cos(static_cast<size_t>(half)), sin(static_cast<size_t>(half));
    RopeCosSin(rope_, position, cos.data(), sin.data());
    std::map<int64_t, size_t> place;
    for (size_t c = 0; c < columns.size(); ++c) place[columns[c]] = c;
    for (const auto& [column, c] : place) {
      const int64_t i = column % config_.head_dim;
      if (i >= half) continue;
      float& a = row[c];
      float& b = row[place.at(column + half)];
      const double x = a, y = b, cosine = cos[static_cast<size_t>(i)], sine = sin[static_cast<size_t>(i)];
      a = static_cast<float>(x * cosine - y * sine);
      b = static_cast<float>(y * cosine + x * sine);
    }
  }

  void HoldAttention(int32_t layer, const VectorView& sinks) {
    const RowsByPosition *queries = Shown(layer, tap::kQuery), *keys = Shown(layer, tap::kKey),
                         *values = Shown(layer, tap::kValue);
    if (queries == nullptr || keys == nullptr || values == nullptr) return;
    const int32_t d = config_.head_dim,
                  window =
                      layout_.groups[static_cast<size_t>(layout_.group_of_layer[static_cast<size_t>(layer)])]
                          .window;
    std::map<int64_t, Row> k, v;
    for (const auto& [position, row] : *keys) k[position] = Rounded(row, base_);
    for (const auto& [position, row] : *values) v[position] = Rounded(row, base_);
    RowsByPosition expected;
    for (const auto& [position, q] : *queries) {
      const int64_t first = window > 0 ? std::max<int64_t>(0, position - window + 1) : 0;
      Row& out = expected[position] = Row(q.size());
      for (int64_t j = first; j <= position; ++j) {
        if (!k.contains(j) || !v.contains(j)) return findings_.Add("no key was shown of position {}", j);
      }
      std::vector<double> weights;
      for (int32_t head = 0; head < config_.num_heads; ++head) {
        const auto at = static_cast<size_t>(head / config_.heads_per_kv() * d),
                   width = static_cast<size_t>(d);
        const auto query = std::span(q).subspan(static_cast<size_t>(head * d), width);
        const double sink = sinks[head];
        double highest = sink;
        weights.clear();
        for (int64_t j = first; j <= position; ++j) {
          weights.push_back(Dot(query, std::span(k[j]).subspan(at, width)) /
                            std::sqrt(static_cast<double>(d)));
          highest = std::max(highest, weights.back());
        }
        double total = std::exp(sink - highest);
        for (double& weight : weights) total += weight = std::exp(weight - highest);
        std::vector<double> sum(width);
        for (int64_t j = first; j <= position; ++j) {
          const float* value = v[j].data() + at;
          const double a = weights[static_cast<size_t>(j - first)] / total;
          for (size_t i = 0; i < width; ++i) sum[i] += a * static_cast<double>(value[i]);
        }
        for (size_t i = 0; i < width; ++i)
          out[static_cast<size_t>(head * d) + i] = static_cast<float>(sum[i]);
      }
    }
    Hold(layer, tap::kAttention, expected, kStage);
  }

  void HoldSum(int32_t layer, std::string_view name, const RowsByPosition& x, std::string_view addend) {
    const RowsByPosition* delta = Shown(layer, addend);
    if (delta == nullptr) return;
    RowsByPosition expected;
    for (const auto& [position, row] : x) {
      const auto found = delta->find(position);
      if (found == delta->end() || found->second.size() != row.size()) return;
      Row& sum = expected[position] = row;
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += found->second[i];
    }
    Hold(layer, name, expected, 1e-6);
  }

  // Which rows, spread over all.
  bool Picks(int64_t index, int64_t rows) const {
    return scope_.moe_rows <= 0 || rows <= scope_.moe_rows ||
           index % ((rows + scope_.moe_rows - 1) / scope_.moe_rows) == 0;
  }

  void HoldMixture(int32_t layer, const RowsByPosition& h, const LayerWeights& w) {
    const Format format = ExpertFormat();
    RowsByPosition expected;
    int64_t index = 0;
    for (const auto& [position, row] : h) {
      if (!Picks(index++, static_cast<int64_t>(h.size()))) continue;
      const auto routed = sequence_.routing.find({layer, position});
      if (routed == sequence_.routing.end()) return findings_.Add("no routing was observed at {}", position);
      std::vector<double> sum(row.size());
      const Row x = Rounded(row, format);
      for (size_t rank = 0; rank < routed->second.experts.size(); ++rank) {
        const int32_t expert = routed->second.experts[rank];
        if (expert < 0) continue;
        if (expert >= config_.layer(layer).num_experts)
          return findings_.Add("expert {} at {}", expert, position);
        const Row y = Rounded(Gated(w.gate_up[static_cast<size_t>(expert)], x), format);
        const ExpertView& down = w.down[static_cast<size_t>(expert)];
        Row weights(static_cast<size_t>(down.cols));
        for (int64_t n = 0; n < down.rows; ++n) {
          down.DecodeRow(n, weights.data());
          sum[static_cast<size_t>(n)] += static_cast<double>(routed->second.weights[rank]) *
                                         (Dot(y, weights) + static_cast<double>(down.bias_at(n)));
        }
      }
      expected[position].assign(sum.begin(), sum.end());
    }
    Hold(layer, tap::kMoeOut, expected, kStage + RoundingStep(format));
  }

  Row Gated(const ExpertView& gate_up, const Row& x) const {
    Row weights(static_cast<size_t>(gate_up.cols)), y(static_cast<size_t>(gate_up.rows / 2));
    const double limit = config_.swiglu_limit, alpha = config_.swiglu_alpha;
    for (size_t j = 0; j < y.size(); ++j) {
      const auto n = static_cast<int64_t>(2 * j);
      gate_up.DecodeRow(n, weights.data());
      const double gate = std::min(Dot(x, weights) + static_cast<double>(gate_up.bias_at(n)), limit);
      gate_up.DecodeRow(n + 1, weights.data());
      const double up =
          std::clamp(Dot(x, weights) + static_cast<double>(gate_up.bias_at(n + 1)), -limit, limit);
      y[j] = static_cast<float>(gate / (1.0 + std::exp(-alpha * gate)) * (up + 1.0));
    }
    return y;
  }

  const ModelConfig& config_;
  const WeightsView& weights_;
  const StageScope scope_;
  const Sequence& sequence_;
  Findings& findings_;
  const KvLayout layout_;
  const RopeFrequencies rope_ = ComputeRopeFrequencies(config_.rope, config_.head_dim);
  const Format base_;
  const bool lossy_;
  bool all_mxfp4_ = true;
};

double LogSumExp(const Row& x) {
  const double highest = *std::max_element(x.begin(), x.end());
  double sum = 0.0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - highest);
  return highest + std::log(sum);
}

}  // namespace

void ExpectCloseTo(const Sequence& actual, const Sequence& reference, double tolerance, Findings& findings) {
  for (const auto& [name, expected] : reference.taps) {
    const auto found = actual.taps.find(name);
    if (findings.Expect(found != actual.taps.end(), "no tap shows {}", Named(name)))
      ExpectRows(found->second, expected, tolerance, Named(name), findings);
  }
  for (const auto& [name, unexpected] : actual.taps) {
    findings.Expect(reference.taps.contains(name), "tap {} is not one of executor/taps.h", Named(name));
  }
  ExpectRows(actual.logits, reference.logits, tolerance, "logits", findings);
}

void ExpectStages(const Model& model, const ExecutorInfo& info, const Sequence& sequence, StageScope scope,
                  Findings& findings) {
  Stages(model, info, sequence, scope, findings).Run();
}

double MeanKl(const Sequence& reference, const Sequence& actual) {
  double total = 0.0;
  int64_t rows = 0;
  for (const auto& [position, p] : reference.logits) {
    const auto found = actual.logits.find(position);
    if (found == actual.logits.end() || found->second.size() != p.size()) return INFINITY;
    const Row& q = found->second;
    const double lp = LogSumExp(p), lq = LogSumExp(q);
    for (size_t i = 0; i < p.size(); ++i) {
      const double a = static_cast<double>(p[i]) - lp, b = static_cast<double>(q[i]) - lq;
      total += std::exp(a) * (a - b);
    }
    ++rows;
  }
  return rows > 0 ? total / static_cast<double>(rows) : INFINITY;
}

}  // namespace oxidized::conformance
