#include "bench/bench_kernels.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "base/interrupt.h"
#include "tensor/interleaved.h"
#include "tensor/stored.h"

namespace oxidized::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSampleSeconds = 2e-3;
constexpr int64_t kRowCounts[] = {1, 2, 4, 8, 16, 64, 256};
constexpr int64_t kMostRows = 256;
constexpr int64_t kDepths[] = {128, 4096};
constexpr int64_t kGranule = 4;  // weight rows are cut between threads at multiples of it

using DenseKernel = void (*)(const DenseArgs&, int64_t, int64_t);
using ExpertKernel = void (*)(const ExpertArgs&, int64_t, int64_t);

struct DenseRow {
  const char* name;
  DenseKernel CpuKernels::* kernel;
  DType weights;
  XType x;
  bool packed = false;       // bf16 weights in 12 bits (tensor/packed_bf16.h)
  bool interleaved = false;  // rows (tensor/interleaved.h)
};
constexpr DenseRow kDense[] = {
    {"f32_f32w_matmul", &CpuKernels::f32_f32w_matmul, DType::kF32, XType::kF32},
    {"f32_bf16w_matmul", &CpuKernels::f32_bf16w_matmul, DType::kBF16, XType::kF32},
    {"f32_f16w_matmul", &CpuKernels::f32_f16w_matmul, DType::kF16, XType::kF32},
    {"f32_q8w_matmul", &CpuKernels::f32_q8w_matmul, DType::kQ8_0, XType::kF32},
    {"bf16_bf16w_matmul", &CpuKernels::bf16_bf16w_matmul, DType::kBF16, XType::kBf16},
    {"bf16_q8w_matmul", &CpuKernels::bf16_q8w_matmul, DType::kQ8_0, XType::kBf16},
    {"int8_q8w_matmul", &CpuKernels::int8_q8w_matmul, DType::kQ8_0, XType::kInt8},
    {"int8_q8w_matmul, interleaved", &CpuKernels::int8_q8w_matmul, DType::kQ8_0, XType::kInt8, false, true},
    {"f32_packedw_matmul", &CpuKernels::f32_packedw_matmul, DType::kBF16, XType::kF32, true},
    {"bf16_packedw_matmul", &CpuKernels::bf16_packedw_matmul, DType::kBF16, XType::kBf16, true},
};

struct ExpertRow {
  const char* name;
  ExpertKernel CpuKernels::* kernel;
  bool gate_up, mxfp4;  // not mxfp4: bf16 values
  XType x;
  Mxfp4Form form = Mxfp4Form::kHf;
};
constexpr ExpertRow kExperts[] = {
    {"f32_mxfp4w_moe_gate_up", &CpuKernels::f32_mxfp4w_moe_gate_up, true, true, XType::kF32},
    {"f32_rowsw_moe_gate_up", &CpuKernels::f32_rowsw_moe_gate_up, true, false, XType::kF32},
    {"f32_transposedw_moe_gate_up", &CpuKernels::f32_transposedw_moe_gate_up, true, false, XType::kF32},
    {"bf16_mxfp4w_moe_gate_up", &CpuKernels::bf16_mxfp4w_moe_gate_up, true, true, XType::kBf16},
    {"int8_mxfp4w_moe_gate_up", &CpuKernels::int8_mxfp4w_moe_gate_up, true, true, XType::kInt8},
    {"f32_mxfp4w_moe_down", &CpuKernels::f32_mxfp4w_moe_down, false, true, XType::kF32},
    {"f32_rowsw_moe_down", &CpuKernels::f32_rowsw_moe_down, false, false, XType::kF32},
    {"f32_transposedw_moe_down", &CpuKernels::f32_transposedw_moe_down, false, false, XType::kF32},
    {"bf16_mxfp4w_moe_down", &CpuKernels::bf16_mxfp4w_moe_down, false, true, XType::kBf16},
    {"int8_mxfp4w_moe_down", &CpuKernels::int8_mxfp4w_moe_down, false, true, XType::kInt8},
    // As GGUF files have it, gate and up apart.
    {"bf16_mxfp4w_moe_gate_up, ggml", &CpuKernels::bf16_mxfp4w_moe_gate_up, true, true, XType::kBf16,
     Mxfp4Form::kGgml},
    {"int8_mxfp4w_moe_gate_up, ggml", &CpuKernels::int8_mxfp4w_moe_gate_up, true, true, XType::kInt8,
     Mxfp4Form::kGgml},
    {"bf16_mxfp4w_moe_down, ggml", &CpuKernels::bf16_mxfp4w_moe_down, false, true, XType::kBf16,
     Mxfp4Form::kGgml},
    {"int8_mxfp4w_moe_down, ggml", &CpuKernels::int8_mxfp4w_moe_down, false, true, XType::kInt8,
     Mxfp4Form::kGgml},
    {"bf16_mxfp4w_moe_gate_up, grouped", &CpuKernels::bf16_mxfp4w_moe_gate_up, true, true, XType::kBf16,
     Mxfp4Form::kGrouped},
    {"bf16_mxfp4w_moe_down, grouped", &CpuKernels::bf16_mxfp4w_moe_down, false, true, XType::kBf16,
     Mxfp4Form::kGrouped},
    {"int8_mxfp4w_moe_gate_up, interleaved", &CpuKernels::int8_mxfp4w_moe_gate_up, true, true, XType::kInt8,
     Mxfp4Form::kInterleaved},
    {"int8_mxfp4w_moe_down, interleaved", &CpuKernels::int8_mxfp4w_moe_down, false, true, XType::kInt8,
     Mxfp4Form::kInterleaved},
};

struct AttentionRow {
  const char* name;
  void (*CpuKernels::*kernel)(const AttentionArgs&);
  DType kv;
};
constexpr AttentionRow kAttention[] = {
    {"f32_f32kv_attention", &CpuKernels::f32_f32kv_attention, DType::kF32},
    {"f32_bf16kv_attention", &CpuKernels::f32_bf16kv_attention, DType::kBF16},
    {"f32_f16kv_attention", &CpuKernels::f32_f16kv_attention, DType::kF16},
};

int64_t Padded(int64_t n) { return (n + kXPad - 1) / kXPad * kXPad; }
// From a row of activations to the next: elements, for int8 bytes.
int64_t RowStride(XType x, int64_t k) {
  return x == XType::kInt8 ? Padded(k) / 32 * static_cast<int64_t>(sizeof(Int8XBlock)) : Padded(k);
}

class KernelBench {
 public:
  explicit KernelBench(const KernelBenchInputs& in)
      : in_(in),
        c_(in.config),
        widest_(std::max({Padded(c_.hidden_size), Padded(c_.expert_width), Padded(c_.query_width()),
                          Padded(2 * c_.expert_width)})),
        weights_("kernel benchmark", MemoryClass::kOther, WeightBytes()),
        scales_("kernel benchmark", MemoryClass::kOther, weights_.size() / 16),
        x_("kernel benchmark", MemoryClass::kOther, static_cast<size_t>(kMostRows * widest_)),
        y_("kernel benchmark", MemoryClass::kOther, static_cast<size_t>(kMostRows * widest_)),
        rows_(static_cast<size_t>(kMostRows)) {
    std::iota(rows_.begin(), rows_.end(), 0);
    AdviseHugePages(weights_.data(), weights_.size());  // as an executor asks for its weights
    // 16-bit words that are small, sane numbers as bf16, f16, f32 and as the scale of a Q8_0 block; their
    // bytes are sane scales of MXFP4.
    in_.team.Run([&](int worker, int workers) {
      const Share share = ShareOf(static_cast<int64_t>(weights_.size()), 64, worker, workers);
      for (int64_t i = share.begin; i < share.end; i += 2) {
        const auto word = static_cast<uint16_t>(0x3C02 + i / 2 % 61);
        std::memcpy(weights_.data() + i, &word, 2);
      }
    });
    std::memset(scales_.data(), 122, scales_.size());  // 2^-5
    std::fill_n(x_.data(), x_.size(), 0.0f);           // zeros are zeros in every type of x
  }

  std::vector<Figure> Run() {
    for (const DenseRow& row : kDense) {
      if (in_.kernels.*row.kernel == nullptr) continue;
      for (const int64_t rows : kRowCounts) Dense(row, rows);
    }
    for (const ExpertRow& row : kExperts) {
      if (in_.kernels.*row.kernel == nullptr) continue;
      if (row.form == Mxfp4Form::kGrouped && !in_.kernels.grouped_mxfp4) continue;
      for (const int64_t rows : kRowCounts) Expert(row, rows);
    }
    for (const AttentionRow& row : kAttention) {
      for (const int64_t depth : kDepths) Attention(row, depth);
    }
    for (const int64_t rows : {int64_t{1}, kMostRows}) Elementwise(rows);
    return std::move(figures_);
  }

 private:
  // Far more than the caches, and a few of the largest matrix.
  size_t WeightBytes() const {
    const int64_t largest =
        4 * int64_t{c_.hidden_size} * std::max<int64_t>(c_.query_width(), 2 * c_.expert_width);
    return static_cast<size_t>(std::max(BandwidthProbe::DefaultBytes(), 2 * largest) / 64 * 64);
  }

  // Where the call-th copy of something of `bytes` begins: all copies one after the other, again and again.
  const std::byte* Copy(int64_t call, int64_t bytes) const {
    return weights_.data() + call % (static_cast<int64_t>(weights_.size()) / bytes) * bytes;
  }

  // body(call, worker, workers) is one call's work on each thread; it moves `bytes` and does `flops`.
  template <typename Body>
  void Measure(const char* name, int64_t rows, int64_t bytes, int64_t flops, double arithmetic_per_s,
               Body body) {
    ThrowIfInterrupted();
    in_.status(name);
    int64_t call = 0;
    const auto seconds_of = [&](int64_t calls) {
      const auto start = Clock::now();
      for (int64_t i = 0; i < calls; ++i, ++call)
        in_.team.Run([&](int worker, int workers) { body(call, worker, workers); });
      return std::chrono::duration<double>(Clock::now() - start).count();
    };
    seconds_of(1);
    const double once = std::max(seconds_of(1), 1e-8);
    const auto calls = static_cast<int64_t>(std::clamp(kSampleSeconds / once, 1.0, 1e6));
    Figure figure{.test = "kernels",
                  .subject = name,
                  .rows = rows,
                  .threads = in_.team.size(),
                  .tier = in_.kernels.name,
                  .unit = "us",
                  .arithmetic_per_s = arithmetic_per_s};
    for (int32_t run = 0; run < in_.runs; ++run) {
      const double read = in_.probe.Measure(0.0);
      const double seconds = seconds_of(calls);
      figure.samples.push_back({.value = seconds / static_cast<double>(calls) * 1e6,
                                .seconds = seconds,
                                .bytes = static_cast<double>(bytes * calls),
                                .flops = static_cast<double>(flops * calls),
                                .read_bytes_per_s = read});
    }
    figures_.push_back(std::move(figure));
  }

  double CeilingOf(XType x) const {
    return x == XType::kInt8   ? in_.ceilings.int8_per_s
           : x == XType::kBf16 ? in_.ceilings.bf16_per_s
                               : in_.ceilings.f32_per_s;
  }

  void Dense(const DenseRow& row, int64_t tokens) {
    const int64_t n = c_.query_width(), k = c_.hidden_size;
    if ((row.weights == DType::kQ8_0 || row.packed) && k % 32 != 0) return;
    if (row.interleaved && n % kInterleavedRows != 0) return;
    const int64_t bytes =
        row.packed ? n * k / kPackedBlockValues * kPackedBlockBytes : StoredBytes(row.weights, n * k);
    const DenseKernel kernel = in_.kernels.*row.kernel;
    // Any bytes are packed blocks; none is kept aside.
    const std::vector<uint64_t> escaped(static_cast<size_t>(n * PackedEscapeWords(k)), 0);
    const std::vector<uint32_t> first_escape(static_cast<size_t>(n), 0);
    Measure(row.name, tokens, bytes, 2 * tokens * n * k, CeilingOf(row.x),
            [&](int64_t call, int worker, int workers) {
              PackedBf16View packed{Copy(call, bytes), escaped.data(), first_escape.data(), nullptr, {}};
              packed.high_bytes.fill(0x3C);
              const DenseArgs args{.x = x_.data(),
                                   .ldx = RowStride(row.x, k),
                                   .w = row.packed ? nullptr : packed.blocks,
                                   .interleaved = row.interleaved,
                                   .packed = row.packed ? &packed : nullptr,
                                   .y = y_.data(),
                                   .ldy = n,
                                   .tokens = tokens,
                                   .k = k};
              const Share share = ShareOf(n, row.interleaved ? kInterleavedRows : kGranule, worker, workers);
              kernel(args, share.begin, share.end);
            });
  }

  void Expert(const ExpertRow& row, int64_t tokens) {
    const int64_t n = row.gate_up ? 2 * c_.expert_width : c_.hidden_size;
    const int64_t k = row.gate_up ? c_.hidden_size : c_.expert_width;
    const bool interleaved = row.form == Mxfp4Form::kInterleaved;
    const int64_t granule = !interleaved ? kGranule : row.gate_up ? 2 * kInterleavedRows : kInterleavedRows;
    if (interleaved && n % granule != 0) return;
    const bool with_scales = row.mxfp4 && row.form != Mxfp4Form::kHf;  // a block's scale before its codes
    const int64_t scales = row.mxfp4 && !with_scales ? n * k / 32 : 0;
    const int64_t bytes = with_scales ? n * k / 32 * 17 : row.mxfp4 ? n * k / 2 : n * k * 2;
    const ExpertKernel kernel = in_.kernels.*row.kernel;
    Measure(row.name, tokens, bytes + scales, 2 * tokens * n * k, CeilingOf(row.x),
            [=, this](int64_t call, int worker, int workers) {
              ExpertArgs args{.x = x_.data(),
                              .ldx = RowStride(row.x, k),
                              .x_rows = rows_.data(),
                              .y_rows = rows_.data(),
                              .values = Copy(call, bytes)};
              args.form = row.form;
              if (scales > 0) args.scales = scales_.data() + (args.values - weights_.data()) / 16;
              args.bias = weights_.data();
              if (with_scales && row.gate_up) {
                args.up_values = args.values + bytes / 2;
                args.up_bias = args.bias;
              }
              args.y = y_.data();
              args.ldy = Padded(row.gate_up ? n / 2 : n);
              args.tokens = tokens;
              args.n = n;
              args.k = k;
              args.out = {row.x, row.x == XType::kBf16 ? Rounding::kBf16 : Rounding::kNone};
              args.alpha = c_.swiglu_alpha;
              args.limit = c_.swiglu_limit;
              const Share share = ShareOf(n, granule, worker, workers);
              kernel(args, share.begin, share.end);
            });
  }

  // One decoding row; a KV head is an item of work, as in the executor.
  void Attention(const AttentionRow& row, int64_t keys) {
    const int64_t d = c_.head_dim, element = Bits(row.kv) / 8, heads = c_.heads_per_kv();
    const int64_t blocks = keys / kKernelBlockTokens, part = KvHeadElements(c_.head_dim) * element;
    std::vector<int32_t> ids(static_cast<size_t>(blocks));
    std::iota(ids.begin(), ids.end(), 0);
    const int64_t bytes = blocks * c_.num_kv_heads * part;
    if (bytes > static_cast<int64_t>(weights_.size())) return;
    const int64_t stride = (AttentionScratchFloats(c_.head_dim) + 15) / 16 * 16;
    AlignedBuffer<float> scratch("kernel benchmark", MemoryClass::kOther,
                                 static_cast<size_t>(stride * in_.team.size()));
    const auto kernel = in_.kernels.*row.kernel;
    Measure(row.name, keys, keys * 2 * c_.kv_width() * element, keys * 4 * c_.query_width(),
            in_.ceilings.f32_per_s, [&](int64_t call, int worker, int workers) {
              const Share share = ShareOf(c_.num_kv_heads, 1, worker, workers);
              for (int64_t g = share.begin; g < share.end; ++g) {
                kernel({.q = x_.data() + g * heads * d,
                        .out = y_.data() + g * heads * d,
                        .sinks = x_.data(),
                        .heads = static_cast<int32_t>(heads),
                        .head_dim = c_.head_dim,
                        .kv = Copy(call, bytes) + g * part,
                        .block_bytes = c_.num_kv_heads * part,
                        .block_ids = ids.data(),
                        .first = 0,
                        .last = keys - 1,
                        .scale = 0.125f,
                        .scratch = scratch.data() + worker * stride});
              }
            });
  }

  // What works on activations alone: in the caches, so that bytes say nothing.
  void Elementwise(int64_t rows) {
    const CpuKernels& kernels = in_.kernels;
    const int64_t m = c_.hidden_size, width = Padded(m);
    const auto* scale = reinterpret_cast<const float*>(weights_.data());
    const XFormat format{kernels.native_bf16 ? XType::kBf16 : XType::kF32, Rounding::kBf16};
    const auto measure = [&](const char* name, auto body) {
      Measure(name, rows, 0, 0, 0.0, [&](int64_t, int worker, int workers) {
        const Share share = ShareOf(rows, 1, worker, workers);
        for (int64_t t = share.begin; t < share.end; ++t)
          body(t, x_.data() + t * widest_, y_.data() + t * widest_);
      });
    };
    measure("f32_rms_norm",
            [&](int64_t, const float* x, float* y) { kernels.f32_rms_norm(x, scale, 1e-5f, m, y); });
    measure("f32_add", [&](int64_t, const float* x, float* y) { kernels.f32_add(y, x, width); });
    measure("f32_to_x", [&](int64_t, const float* x, float* y) { kernels.f32_to_x(x, m, format, y); });
    measure("widen", [&](int64_t t, const float*, float* y) {
      kernels.widen(weights_.data() + t * 2 * m, DType::kBF16, m, y);
    });
    measure("f32_rope",
            [&](int64_t, const float* x, float* y) { kernels.f32_rope(y, c_.num_heads, c_.head_dim, x, x); });
    // The K outputs of a row, a row of x each.
    std::vector<int32_t> experts(static_cast<size_t>(c_.experts_per_token), 0);
    const std::vector<float> weights(experts.size(), 0.25f);
    measure("f32_combine", [&](int64_t, const float*, float* y) {
      kernels.f32_combine(x_.data(), m, weights.data(), experts.data(), c_.experts_per_token, m, y);
    });
    AlignedBuffer<std::byte> block("kernel benchmark", MemoryClass::kOther,
                                   static_cast<size_t>(KvHeadElements(c_.head_dim) * 4 * in_.team.size()));
    Measure("write_kv", rows, 0, 0, 0.0, [&](int64_t, int worker, int workers) {
      const Share share = ShareOf(rows, 1, worker, workers);
      std::byte* own = block.data() + KvHeadElements(c_.head_dim) * 4 * worker;
      for (int64_t t = share.begin; t < share.end; ++t) {
        kernels.write_kv(x_.data(), x_.data(), c_.head_dim, DType::kBF16,
                         static_cast<int32_t>(t % kKernelBlockTokens), own);
      }
    });
  }

  const KernelBenchInputs& in_;
  const ModelConfig& c_;
  const int64_t widest_;  // elements of a row of anything
  AlignedBuffer<std::byte> weights_, scales_;
  AlignedBuffer<float> x_, y_;
  std::vector<int32_t> rows_;
  std::vector<Figure> figures_;
};

}  // namespace

std::vector<Figure> BenchKernels(const KernelBenchInputs& inputs) { return KernelBench(inputs).Run(); }

}  // namespace oxidized::cli
