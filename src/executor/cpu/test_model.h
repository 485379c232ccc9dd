// For tests of executors: random models in memory, and ragged steps of several sequences with their block
// tables. Header only, not part of the product.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "executor/executor.h"
#include "kv/block_pool.h"
#include "model/weights.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"

namespace oxidized::test {

// A model that owns its random weights. Every tensor starts at an odd address. Dense matrices, and experts
// that are not MXFP4, are of type `dense`; vectors and the router too, but F32 in a model of Q8_0.
struct TestModel {
  ModelConfig config;
  WeightsView weights;
  std::deque<std::vector<std::byte>> storage;

  TestModel(ModelConfig c, DType dense, ExpertLayout layout)
      : config(std::move(c)), dense_(dense), layout_(layout) {
    ValidateConfig(config, "test model");
    const int64_t m = config.hidden_size, q = config.query_width(), kv = config.kv_width(),
                  f = config.expert_width;
    weights.embedding = Matrix(config.vocab_size, m, 1.0f);
    weights.unembedding = Matrix(config.vocab_size, m, 0.5f);
    weights.final_norm = Vector(m, 1.0f, 0.3f);
    for (int32_t i = 0; i < config.num_layers; ++i) {
      LayerWeights w;
      w.attention_norm = Vector(m, 1.0f, 0.3f);
      w.mlp_norm = Vector(m, 1.0f, 0.3f);
      w.q = Matrix(q, m, 0.15f);
      w.k = Matrix(kv, m, 0.15f);
      w.v = Matrix(kv, m, 0.15f);
      w.o = Matrix(m, q, 0.15f);
      w.q_bias = Vector(q, 0.0f, 0.2f);
      w.k_bias = Vector(kv, 0.0f, 0.2f);
      w.v_bias = Vector(kv, 0.0f, 0.2f);
      w.o_bias = Vector(m, 0.0f, 0.2f);
      w.sinks = Vector(config.num_heads, 0.5f, 1.0f);
      const int32_t experts = config.layer(i).num_experts;
      w.router = Matrix(experts, m, 0.3f, ElementType());
      w.router_bias = Vector(experts, 0.0f, 0.3f);
      for (int32_t e = 0; e < experts; ++e) {
        w.gate_up.push_back(Expert(2 * f, m));
        w.down.push_back(Expert(m, f));
      }
      weights.layers.push_back(std::move(w));
    }
    if (LayoutRow(layout_).scales == ScalePlace::kBeforeBlock) StoreExperts(layout_, /*apart=*/true);
  }

  // Stores the values of the experts, MXFP4 until now, in another layout; in kRows as `type`. With `apart`
  // gate and up get matrices of their own.
  void StoreExperts(ExpertLayout layout, bool apart, DType type = DType::kF32) {
    for (LayerWeights& layer : weights.layers) {
      for (ExpertView& e : layer.gate_up) e = Restored(e, layout, apart, type);
      for (ExpertView& e : layer.down) e = Restored(e, layout, false, type);
    }
  }

 private:
  DType ElementType() const { return dense_ == DType::kQ8_0 ? DType::kF32 : dense_; }
  std::byte* Keep(const std::vector<std::byte>& bytes) {
    std::byte* data = Allocate(static_cast<int64_t>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), data);
    return data;
  }
  // Every second of `rows` rows from `first` on, or all of them.
  static std::vector<std::byte> Rows(const std::vector<std::byte>& all, int64_t rows, int64_t first,
                                     int64_t step) {
    const auto size = all.size() / static_cast<size_t>(rows);
    std::vector<std::byte> out;
    for (int64_t r = first; r < rows; r += step) {
      const auto at = all.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(r) * size);
      out.insert(out.end(), at, at + static_cast<std::ptrdiff_t>(size));
    }
    return out;
  }
  ExpertView Restored(const ExpertView& from, ExpertLayout layout, bool apart, DType type) {
    ExpertView e = from;
    e.layout = layout;
    e.dtype = type;
    e.scales = nullptr;
    std::vector<std::byte> stored;
    if (layout == ExpertLayout::kRows) {
      std::vector<float> row(static_cast<size_t>(from.cols));
      for (int64_t r = 0; r < from.rows; ++r) {
        from.DecodeRow(r, row.data());
        Append(row, type, stored);
      }
    } else {
      for (int64_t i = 0; i < from.rows * from.cols / 32; ++i) {
        const auto* codes = reinterpret_cast<const uint8_t*>(from.values) + i * 16;
        uint8_t block[16];
        std::memcpy(block, codes, 16);
        if (LayoutRow(layout).nibbles == NibbleOrder::kGgml) Mxfp4ToGgmlOrder(codes, block);
        stored.push_back(from.scales[i]);
        for (const uint8_t b : block) stored.push_back(static_cast<std::byte>(b));
      }
    }
    e.values = Keep(Rows(stored, from.rows, 0, apart ? 2 : 1));
    if (!apart) return e;
    e.up_values = Keep(Rows(stored, from.rows, 1, 2));
    const std::vector<std::byte> bias(from.bias.data,
                                      from.bias.data + from.bias.size * Bits(from.bias.dtype) / 8);
    e.bias = {Keep(Rows(bias, from.rows, 0, 2)), from.bias.dtype, from.rows / 2};
    e.up_bias = {Keep(Rows(bias, from.rows, 1, 2)), from.bias.dtype, from.rows / 2};
    return e;
  }
  float Random() {
    const auto bits = RandomBits(17, 0, counter_++);
    double sum = 0.0;
    for (const uint32_t b : bits) sum += static_cast<double>(b) * 0x1.0p-32 - 0.5;
    return static_cast<float>(sum * 1.7320508);
  }
  std::byte* Allocate(int64_t bytes) {
    storage.emplace_back(static_cast<size_t>(bytes) + 1);
    return storage.back().data() + 1;
  }
  // `values` in `type` behind `out`.
  static void Append(const std::vector<float>& values, DType type, std::vector<std::byte>& out) {
    const auto append = [&](const void* data, size_t size) {
      const auto* bytes = static_cast<const std::byte*>(data);
      out.insert(out.end(), bytes, bytes + size);
    };
    if (type == DType::kQ8_0) {
      for (size_t i = 0; i < values.size(); i += 32) {
        float most = 1e-6f;
        for (size_t k = i; k < i + 32; ++k) most = std::max(most, std::fabs(values[k]));
        const uint16_t scale = FloatToF16(most / 127);
        append(&scale, 2);
        for (size_t k = i; k < i + 32; ++k) {
          const auto q =
              static_cast<int8_t>(std::clamp(std::round(values[k] / F16ToFloat(scale)), -127.0f, 127.0f));
          append(&q, 1);
        }
      }
      return;
    }
    for (const float v : values) {
      const uint16_t half = type == DType::kF16 ? FloatToF16(v) : FloatToBf16(v);
      type == DType::kF32 ? append(&v, 4) : append(&half, 2);
    }
  }
  const std::byte* Values(int64_t n, DType type, float mean, float scale) {
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = mean + scale * Random();
    std::vector<std::byte> stored;
    Append(values, type, stored);
    return Keep(stored);
  }
  VectorView Vector(int64_t n, float mean, float scale) {
    return {Values(n, ElementType(), mean, scale), ElementType(), n};
  }
  MatrixView Matrix(int64_t rows, int64_t cols, float scale) { return Matrix(rows, cols, scale, dense_); }
  MatrixView Matrix(int64_t rows, int64_t cols, float scale, DType type) {
    return {Values(rows * cols, type, 0.0f, scale), type, rows, cols};
  }
  ExpertView Expert(int64_t rows, int64_t cols) {
    ExpertView e{.layout = layout_,
                 .dtype = dense_,
                 .bias = Vector(rows, 0.0f, 0.2f),
                 .up_bias = {},
                 .rows = rows,
                 .cols = cols};
    if (!IsMxfp4(layout_)) {
      e.values = Values(rows * cols, dense_, 0.0f, 0.15f);
      return e;
    }
    e.layout = ExpertLayout::kMxfp4;
    std::byte* blocks = Allocate(rows * cols / 2);
    std::byte* scales = Allocate(rows * cols / 32);
    for (int64_t i = 0; i < rows * cols / 2; ++i)
      blocks[i] = static_cast<std::byte>(RandomBits(18, 0, counter_++)[0]);
    for (int64_t i = 0; i < rows * cols / 32; ++i) {
      scales[i] = static_cast<std::byte>(121 + RandomBits(19, 0, counter_++)[0] % 3);
    }
    e.values = blocks;
    e.scales = scales;
    return e;
  }

  DType dense_;
  ExpertLayout layout_;
  uint64_t counter_ = 0;
};

// One of several sequences that go through an executor together.
struct TestSequence {
  std::vector<int32_t> tokens;  // fed so far or to be fed
  RoutingPolicy policy = {};
  int64_t fed = 0;
  std::map<int64_t, std::vector<float>> logits;  // by position
  std::vector<int32_t> sampled;
  std::vector<BlockTable> tables;  // by KV group
};

// Feeds sequences in ragged steps and keeps their blocks. Slot i belongs to sequence i.
class TestBatcher {
 public:
  TestBatcher(Executor& executor, std::vector<TestSequence>& sequences)
      : executor_(executor), sequences_(sequences) {
    for (const int32_t blocks : executor.Info().kv_blocks) pools_.emplace_back(blocks);
    for (size_t i = 0; i < sequences.size(); ++i) {
      sequences[i].tables.resize(pools_.size());
      executor.ResetSlot(static_cast<int32_t>(i), {});
    }
  }

  // Feeds rows[i] further tokens of sequence i (0: it is left out; its slot keeps waiting). With `order`,
  // sequences appear in the batch in that order. Samples greedily after the last row of each sequence.
  void Step(const std::vector<int64_t>& rows, std::vector<size_t> order = {}, TapSink* taps = nullptr) {
    if (order.empty()) {
      order.resize(sequences_.size());
      std::iota(order.begin(), order.end(), size_t{0});
    }
    std::erase_if(order, [&](size_t i) { return rows[i] == 0; });
    std::vector<int32_t> ids, query_start = {0}, slot;
    std::vector<int64_t> positions, context_len;
    std::vector<int32_t> policy;
    std::vector<RoutingPolicy> policies;
    std::vector<SampleSpec> samples;
    std::vector<Sink> sinks(order.size());
    std::vector<LogitsSink*> sink_pointers;
    const size_t groups = pools_.size();
    std::vector<std::vector<int32_t>> offsets(groups, {0}), block_ids(groups);
    std::vector<std::vector<int64_t>> first(groups);
    for (size_t place = 0; place < order.size(); ++place) {
      TestSequence& s = sequences_[order[place]];
      for (int64_t i = 0; i < rows[order[place]]; ++i) {
        ids.push_back(s.tokens[static_cast<size_t>(s.fed)]);
        positions.push_back(s.fed++);
      }
      query_start.push_back(static_cast<int32_t>(ids.size()));
      context_len.push_back(s.fed);
      slot.push_back(static_cast<int32_t>(order[place]));
      policy.push_back(static_cast<int32_t>(place));
      policies.push_back(s.policy);
      samples.push_back({.row = static_cast<int32_t>(ids.size()) - 1, .params = &greedy_});
      sinks[place].sequence = &s;
      sink_pointers.push_back(&sinks[place]);
      for (size_t g = 0; g < groups; ++g) {
        BlockTable& table = s.tables[g];
        const int32_t window = executor_.Info().kv_windows[g];
        if (window > 0) table.ReleaseBefore(s.fed - rows[order[place]] - window + 1, pools_[g]);
        while (table.end_position() < s.fed) table.blocks.push_back(pools_[g].Allocate());
        block_ids[g].insert(block_ids[g].end(), table.blocks.begin(), table.blocks.end());
        offsets[g].push_back(static_cast<int32_t>(block_ids[g].size()));
        first[g].push_back(table.first_position);
      }
    }
    std::vector<BlockTables> kv;
    for (size_t g = 0; g < groups; ++g) kv.push_back({offsets[g], first[g], block_ids[g]});
    StepBatch batch;
    batch.token_ids = ids;
    batch.positions = positions;
    batch.query_start = query_start;
    batch.context_len = context_len;
    batch.slot = slot;
    batch.policy = policy;
    batch.policies = policies;
    batch.kv = kv;
    batch.samples = samples;
    if (want_logits) batch.logits = sink_pointers;
    batch.taps = taps;
    executor_.Wait(executor_.Submit(batch), result);
    for (size_t place = 0; place < order.size(); ++place) {
      OX_CHECK(result.samples[place].finite);
      sequences_[order[place]].sampled.push_back(result.samples[place].token);
    }
  }

  StepResult result;
  bool want_logits = true;

 private:
  struct Sink final : LogitsSink {
    TestSequence* sequence = nullptr;
    void Row(int64_t position, std::span<const float> logits) override {
      sequence->logits[position].assign(logits.begin(), logits.end());
    }
  };

  Executor& executor_;
  std::vector<TestSequence>& sequences_;
  std::vector<BlockPool> pools_;
  SamplingParams greedy_{.temperature = 0.0};
};

}  // namespace oxidized::test
