#include "executor/cuda/cuda_buffers.h"

#include <algorithm>

#include "kernels/cuda/schedule.h"

namespace oxidized::cuda {
namespace {

int64_t MostSplits(const ExecutorInfo& info) {
  return std::min<int64_t>(kMaxSplits, (info.max_context + kLeastSplitKeys - 1) / kLeastSplitKeys);
}

}  // namespace

int64_t KvBlockBytes(const ModelConfig& config, const KvGroup& group, Arithmetic arithmetic) {
  return std::ssize(group.layers) * 2 * kKvBlockTokens * config.kv_width() * KvBytes(arithmetic);
}

int64_t KvBytesOf(const ModelConfig& config, const ExecutorInfo& info, Arithmetic arithmetic) {
  const KvLayout layout(config);
  int64_t bytes = 0;
  for (size_t g = 0; g < layout.groups.size(); ++g)
    bytes += info.kv_blocks[g] * KvBlockBytes(config, layout.groups[g], arithmetic);
  return bytes;
}

int64_t DeviceBuffers::LayOutFixed(const ModelConfig& c, const ExecutorInfo& info, uint8_t* base, StepArgs& a,
                                   int32_t** reused_tokens) {
  Arena arena(base);
  const int64_t t = info.max_step_tokens, m = c.hidden_size;
  a.barrier = arena.Take<uint32_t>(1);
  a.router_arrivals = arena.Take<uint32_t>(1);
  a.clocks = arena.Take<int64_t>(2 * AllPhases(c.num_layers));
  a.split_arrivals = arena.Take<uint32_t>(t * c.num_kv_heads);
  a.last_token = arena.Take<int32_t>(info.max_sequences);
  a.counts = arena.Take<int32_t>(int64_t{info.max_sequences} * c.vocab_size);
  *reused_tokens = arena.Take<int32_t>(info.max_context);
  a.kv_rows = arena.Take<int64_t>(t * std::ssize(info.kv_windows));
  a.residual = arena.Take<float>(t * m);
  a.query = arena.Take<float>(t * c.query_width());
  a.key = arena.Take<float>(t * c.kv_width());
  a.value = arena.Take<float>(t * c.kv_width());
  a.attention = arena.Take<float>(t * c.query_width());
  a.attention_out = arena.Take<float>(t * m);
  a.moe_out = arena.Take<float>(t * m);
  a.normed_tap = arena.Take<float>(t * m);
  a.splits = arena.Take<float>(t * c.num_heads * MostSplits(info) * (c.head_dim + 2));
  a.router_logits = arena.Take<float>(int64_t{c.num_layers} * t * c.most_experts());
  a.num_tiles = arena.Take<int32_t>(1);
  return arena.used();
}

int64_t DeviceBuffers::LayOutRanked(const ModelConfig& c, const ExecutorInfo& info, int32_t stride,
                                    uint8_t* base, StepArgs& a) {
  Arena arena(base);
  const int64_t places = int64_t{info.max_step_tokens} * stride, layers = c.num_layers;
  a.experts = arena.Take<int32_t>(layers * places);
  a.weights = arena.Take<float>(layers * places);
  a.dropped = arena.Take<uint8_t>(layers * info.max_step_tokens);
  a.rerouted = arena.Take<uint8_t>(layers * info.max_step_tokens);
  a.tiles = arena.Take<Tile>(places / kTileTokens + c.most_experts());
  a.gated = arena.Take<float>(places * c.expert_width);
  a.contributions = arena.Take<float>(places * c.hidden_size);
  return arena.used();
}

int64_t DeviceBuffers::LayOutSampled(const ModelConfig& c, int blocks, int32_t rows, int32_t samples,
                                     uint8_t* base, StepArgs& a) {
  Arena arena(base);
  a.logits = arena.Take<float>(int64_t{rows} * c.vocab_size);
  a.peaks = arena.Take<RowPeak>(int64_t{rows} * blocks);
  a.changed_peaks = arena.Take<RowPeak>(int64_t{samples} * blocks);
  a.changed = arena.Take<float>(int64_t{samples} * c.vocab_size);
  a.candidates = arena.Take<uint64_t>(int64_t{samples} * c.vocab_size);
  a.results = arena.Take<SampleResult>(samples);
  return arena.used();
}

int64_t DeviceBuffers::BytesOfValues(const ModelConfig& config, const ExecutorInfo& info) {
  StepArgs args = {};
  int32_t* tokens = nullptr;
  return LayOutFixed(config, info, nullptr, args, &tokens) +
         LayOutRanked(config, info, config.experts_per_token, nullptr, args) +
         LayOutSampled(config, /*blocks=*/0, info.max_sequences, info.max_sequences, nullptr, args);
}

DeviceBuffers::DeviceBuffers(const ModelConfig& config, const ExecutorInfo& info, Arithmetic arithmetic,
                             int blocks, Stream& stream)
    : config_(config),
      info_(info),
      stream_(stream),
      vocab_size_(config.vocab_size),
      blocks_(blocks),
      kv_(KvBytesOf(config, info, arithmetic)) {
  const KvLayout layout(config);
  uint8_t* at = kv_.data();
  for (size_t g = 0; g < layout.groups.size(); ++g) {
    const int64_t block_bytes = KvBlockBytes(config, layout.groups[g], arithmetic);
    kv_args_.push_back({at, block_bytes});
    at += info.kv_blocks[g] * block_bytes;
  }
  fixed_ = DeviceMemory(LayOutFixed(config, info, nullptr, fixed_args_, &reused_tokens_));
  LayOutFixed(config, info, fixed_.data(), fixed_args_, &reused_tokens_);
  // Counters of arrivals, counts of tokens and last tokens begin at zero; they lie in front.
  stream.Fill(fixed_.data(), 0, reinterpret_cast<uint8_t*>(reused_tokens_) - fixed_.data());
  StepArgs args = {};
  Fit(config.experts_per_token, info.max_sequences, info.max_sequences, args);
}

void DeviceBuffers::Fit(int32_t stride, int32_t rows, int32_t samples, StepArgs& args) {
  if (stride > stride_) {
    stream_.Wait();
    ranked_ = DeviceMemory();
    stride_ = 0;
    ranked_ = DeviceMemory(LayOutRanked(config_, info_, stride, nullptr, fixed_args_));
    stride_ = stride;
    LayOutRanked(config_, info_, stride, ranked_.data(), fixed_args_);
    stream_.Fill(ranked_.data(), 0,
                 ranked_.bytes());  // places of tiles that are not full are read, and not used
  }
  if (rows > rows_ || samples > samples_) {
    stream_.Wait();
    const int32_t r = std::max(rows, rows_), s = std::max(samples, samples_);
    sampled_ = DeviceMemory();
    rows_ = samples_ = 0;
    sampled_ = DeviceMemory(LayOutSampled(config_, blocks_, r, s, nullptr, fixed_args_));
    rows_ = r;
    samples_ = s;
    LayOutSampled(config_, blocks_, r, s, sampled_.data(), fixed_args_);
  }
  const StepArgs step = args;
  args = fixed_args_;
  args.model = step.model;
  args.tokens = step.tokens;
  args.sequences = step.sequences;
  args.stride = stride;
  args.rows = rows;
  args.samples = samples;
}

}  // namespace oxidized::cuda
