// The phases of a step, each by all blocks of a grid: block `cta` of `ncta` takes its share. Between two
// phases the grid waits (or a new one is launched).
#pragma once

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/block.cuh"
#include "kernels/cuda/product.cuh"
#include "kernels/cuda/routing.cuh"
#include "kernels/cuda/sampling.cuh"
#include "kernels/cuda/step_args.h"

namespace oxidized::cuda {

struct Block {
  const ModelArgs& model;   // in shared memory: every barrier empties the first cache
  const LayerArgs* layers;  // [2] in shared memory: layer l at l % 2, from the router of layer l - 1 on
  const StepArgs& step;
  int cta, ncta;
  uint8_t* shared;  // dynamic
  Jobs& jobs;       // in shared memory, as these are
  Rings& rings;
  int* rows;        // [kTileTokens] which row each row of the inputs is
  uint64_t* peaks;  // [kWarps]
};

// Columns that a thread loads before it uses the first: latency is paid once for all.
inline constexpr int kEach = 8, kStride = kThreads * kEach;
// body(k, column) for this thread's columns of [base, base + kStride) that lie below n.
template <class Body>
__device__ inline void ForEach(int base, int n, const Body& body) {
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const int c = base + static_cast<int>(threadIdx.x) + k * kThreads;
    if (c < n) body(k, c);
  }
}
__device__ inline void LoadEach(const float* from, int base, int n, float (&values)[kEach]) {
#pragma unroll
  for (int k = 0; k < kEach; ++k) values[k] = 0.0f;
  ForEach(base, n, [&](int k, int c) { values[k] = from[c]; });
}

// 1 / sqrt(mean(x^2) + eps) of `count` rows of M, row(i) each, into `factors`. Always by the whole block, so
// that a row's sum has one order.
template <class Row>
__device__ inline void NormFactors(const ModelArgs& m, int count, const Row& row, float* factors) {
  __shared__ float sums[kWarps][kTileTokens];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, n = m.m;
  for (int i = 0; i < count; ++i) {
    const float* x = row(i);
    float sum = 0.0f;
    for (int base = 0; base < n; base += kStride) {
      float values[kEach];
      LoadEach(x, base, n, values);
#pragma unroll
      for (int k = 0; k < kEach; ++k) sum = fmaf(values[k], values[k], sum);
    }
    sum = WarpSum(sum);
    if (lane == 0) sums[warp][i] = sum;
  }
  __syncthreads();
  if (threadIdx.x < count) {
    float sum = 0.0f;
    for (int w = 0; w < kWarps; ++w) sum += sums[w][threadIdx.x];
    factors[threadIdx.x] = 1.0f / sqrtf(sum / static_cast<float>(n) + m.eps);
  }
  __syncthreads();
}
__device__ inline float Normed(float x, float factor, float scale) { return x * factor * scale; }

// put(i, column, y) with y the norms of `count` rows row(i).
template <class Row, class Put>
__device__ inline void NormRows(const ModelArgs& m, int count, const Row& row, const float* scale,
                                const Put& put) {
  __shared__ float factors[kTileTokens];
  const int n = m.m;
  float scales[kEach];
  LoadEach(scale, 0, n, scales);  // on its way while the factors are made
  NormFactors(m, count, row, factors);
  for (int base = 0; base < n; base += kStride) {
    if (base > 0) LoadEach(scale, base, n, scales);
    for (int i = 0; i < count; ++i) {
      float values[kEach];
      LoadEach(row(i), base, n, values);
      const float factor = factors[i];
      ForEach(base, n, [&](int k, int c) { put(i, c, Normed(values[k], factor, scales[k])); });
    }
  }
}

// Inputs = norm of the residual of rows row_of(i); nobody reads the inputs before any more. At its end the
// block is in step. `tap`: where the normed rows are shown, or null.
template <int kParts, class RowOf>
__device__ inline void LoadNormed(const Block& b, const Inputs<kParts>& x, int tokens, const float* scale,
                                  const RowOf& row_of, float* tap) {
  const int n = b.model.m;
  const float* residual = b.step.residual;
  NormRows(
      b.model, tokens, [&](int i) { return residual + int64_t{row_of(i)} * n; }, scale,
      [&](int i, int c, float y) {
        x.Set(i, c, y);
        if (tap != nullptr) tap[int64_t{row_of(i)} * n + c] = y;
      });
  x.ClearPadding(tokens, n);
  __syncthreads();
}

// Inputs = rows row_of(i) of n values each.
template <int kParts, class RowOf>
__device__ inline void LoadRows(const Inputs<kParts>& x, int tokens, const float* rows, int n,
                                const RowOf& row_of) {
  for (int i = 0; i < tokens; ++i) {
    const float* row = rows + int64_t{row_of(i)} * n;
    for (int base = 0; base < n; base += kStride) {
      float values[kEach];
      LoadEach(row, base, n, values);
      ForEach(base, n, [&](int k, int c) { x.Set(i, c, values[k]); });
    }
  }
  x.ClearPadding(tokens, n);
  __syncthreads();
}

// The one product of a tile of tokens, when the block is done with the jobs before; the rings begin to fill.
__device__ inline void OneJob(const Block& b, const Matrix& m, const float* bias, Range groups, int tokens,
                              int ahead = kMostSlots) {
  __syncthreads();
  if (threadIdx.x == 0) {
    b.jobs.Clear();
    b.jobs.Add(m, bias, static_cast<int>(groups.begin), static_cast<int>(groups.end), 0, tokens);
  }
  __syncthreads();
  StartRings(b.rings, b.jobs, ahead);
}

__device__ inline int TokensOfTile(int rows, int tile) { return min(kTileTokens, rows - tile * kTileTokens); }
__device__ inline int TilesOf(int rows) { return (rows + kTileTokens - 1) / kTileTokens; }

// body(tile, first row, tokens, groups) for each tile of `rows` rows of which this block has groups of m, its
// job made and its rings started; of the first one before, where the phase is `prepared`.
template <class Body>
__device__ inline void ForTiles(const Block& b, const Matrix& m, const float* bias, int rows, bool prepared,
                                const Body& body) {
  const int tiles = TilesOf(rows);
  const Range units = ShareOf(int64_t{tiles} * m.groups, b.cta, b.ncta);
  for (int tile = 0; tile < tiles; ++tile) {
    const Range groups = GroupsOfTile(units, tile, tiles);
    if (groups.begin >= groups.end) continue;
    const int tokens = TokensOfTile(rows, tile);
    if (prepared)
      FillRings(b.rings, b.jobs, kMostSlots);
    else
      OneJob(b, m, bias, groups, tokens);
    prepared = false;
    body(tile * kTileTokens, tokens, groups);
  }
}
__device__ inline void PrepareTiles(const Block& b, const Matrix& m, const float* bias, int rows) {
  const int tiles = TilesOf(rows);
  const Range units = ShareOf(int64_t{tiles} * m.groups, b.cta, b.ncta);
  for (int tile = 0; tile < tiles; ++tile) {
    const Range groups = GroupsOfTile(units, tile, tiles);
    if (groups.begin < groups.end)
      return OneJob(b, m, bias, groups, TokensOfTile(rows, tile), kAheadOfBarrier);
  }
}

__device__ inline void Embed(const Block& b) {
  const ModelArgs& m = b.model;
  const StepArgs& a = b.step;
  for (int t = b.cta; t < a.tokens; t += b.ncta) {
    const int slot = a.slot[a.sequence_of[t]];
    const int id = a.token_ids[t] >= 0 ? a.token_ids[t] : a.last_token[slot];
    if (threadIdx.x == 0) atomicAdd(a.counts + int64_t{slot} * m.v + id, 1);
    for (int g = threadIdx.x; g < m.kv_groups; g += kThreads)
      a.kv_rows[int64_t{g} * a.tokens + t] = KvRowOf(a.tables[g], a.sequence_of[t], a.positions[t]);
    const int64_t from = int64_t{id} * m.m;
    for (int c = threadIdx.x; c < m.m; c += kThreads) {
      float value;
      switch (m.embedding_type) {
        case TableType::kF32:
          value = static_cast<const float*>(m.embedding)[from + c];
          break;
        case TableType::kBf16:
          value = FromBf16(static_cast<const uint16_t*>(m.embedding)[from + c]);
          break;
        default:
          value = __half2float(static_cast<const __half*>(m.embedding)[from + c]);
      }
      a.residual[int64_t{t} * m.m + c] = value;
    }
  }
}

template <int kParts>
__device__ inline void QueryKeyValue(const Block& b, const LayerArgs& layer, bool prepared) {
  const ModelArgs& m = b.model;
  const StepArgs& a = b.step;
  const Inputs<kParts> x(b.shared, layer.qkv.cols, m.arithmetic == Arithmetic::kF16);
  const int half = m.d / 2, q_rows = m.heads * m.d, kv_rows = m.kv_heads * m.d;
  // What an output needs beside its sum.
  struct Beside {
    float bias[2];
    Rotation turn;
    typename KvValue<kParts>::Type* kept;
  };
  ForTiles(b, layer.qkv, layer.qkv_bias, a.tokens, prepared, [&](int first, int tokens, Range groups) {
    LoadNormed<kParts>(
        b, x, tokens, layer.attention_norm, [&](int i) { return first + i; },
        groups.begin == 0 ? a.normed_tap : nullptr);
    const auto beside = [&](const Job& job, int row, int token) {
      Beside out = {};
      if (row >= layer.qkv.rows) return out;
      const int t = first + token;
      out.bias[0] = job.bias[row];
      out.bias[1] = job.bias[row + 1];
      if (row < q_rows + kv_rows) out.turn = m.rotation[a.positions[t] * half + row % m.d / 2];
      if (row >= q_rows) {
        const int in_kv = (row - q_rows) % kv_rows;
        out.kept = KvOfRow<kParts>(m, layer, a.kv_rows[int64_t{layer.group} * a.tokens + t], in_kv / m.d,
                                   row >= q_rows + kv_rows);
      }
      return out;
    };
    const auto store = [&](const Job&, int row, int token, float y0, float y1, const Beside& with) {
      if (row >= layer.qkv.rows) return;
      const int64_t t = first + token;
      y0 += with.bias[0];
      y1 += with.bias[1];
      const int within = row % m.d;
      if (row < q_rows + kv_rows) {
        const int pair = within / 2;
        const float first_half = y0 * with.turn.cosine - y1 * with.turn.sine,
                    second_half = y1 * with.turn.cosine + y0 * with.turn.sine;
        const bool is_query = row < q_rows;
        float* out =
            is_query ? a.query + t * q_rows + row - within : a.key + t * kv_rows + row - q_rows - within;
        out[pair] = first_half;
        out[pair + half] = second_half;
        if (!is_query) {
          with.kept[pair] = KvValue<kParts>::Of(first_half, m.arithmetic);
          with.kept[pair + half] = KvValue<kParts>::Of(second_half, m.arithmetic);
        }
      } else {
        float* out = a.value + t * kv_rows + row - q_rows - kv_rows;
        out[0] = y0;
        out[1] = y1;
        with.kept[within] = KvValue<kParts>::Of(y0, m.arithmetic);
        with.kept[within + 1] = KvValue<kParts>::Of(y1, m.arithmetic);
      }
    };
    Multiply<kParts, Beside>(b.jobs, b.rings, x, beside, store);
  });
}

template <int kParts>
__device__ inline void Attend(const Block& b, const LayerArgs& layer) {
  const ModelArgs& m = b.model;
  const StepArgs& a = b.step;
  const int64_t items = int64_t{a.tokens} * m.kv_heads * a.max_splits;
  for (int64_t item = b.cta; item < items; item += b.ncta) {
    const int split = static_cast<int>(item % a.max_splits);
    const int64_t head = item / a.max_splits;
    const int t = static_cast<int>(head / m.kv_heads), kv_head = static_cast<int>(head % m.kv_heads);
    const int64_t position = a.positions[t];
    if (split >= SplitsOf(position - FirstVisible(position, layer.window) + 1)) continue;
    AttendSplit<kParts>(m, a, layer, t, kv_head, split, reinterpret_cast<float*>(b.shared));
  }
}

template <int kParts>
__device__ inline void Out(const Block& b, const LayerArgs& layer, bool prepared) {
  const ModelArgs& m = b.model;
  const StepArgs& a = b.step;
  const Inputs<kParts> x(b.shared, layer.out.cols, m.arithmetic == Arithmetic::kF16);
  struct Beside {
    float bias[2], residual[2];
  };
  ForTiles(b, layer.out, layer.out_bias, a.tokens, prepared, [&](int first, int tokens, Range) {
    const auto beside = [&](const Job& job, int row, int token) {
      Beside out = {};
      for (int i = 0; i < 2 && row + i < m.m; ++i) {
        out.bias[i] = job.bias[row + i];
        out.residual[i] = a.residual[int64_t{first + token} * m.m + row + i];
      }
      return out;
    };
    LoadRows<kParts>(x, tokens, a.attention, m.heads * m.d, [&](int i) { return first + i; });
    Multiply<kParts, Beside>(b.jobs, b.rings, x, beside,
                             [&](const Job&, int row, int token, float y0, float y1, const Beside& with) {
                               const float y[2] = {y0, y1};
                               for (int i = 0; i < 2 && row + i < m.m; ++i) {
                                 const int64_t at = int64_t{first + token} * m.m + row + i;
                                 const float delta = y[i] + with.bias[i];
                                 a.attention_out[at] = delta;
                                 a.residual[at] = with.residual[i] + delta;
                               }
                             });
  });
}

// A router's logit is the sum of slices of columns, each summed by a warp.
inline constexpr int kRouterSlices = kWarps;
__device__ inline float RouterSlice(const float* x, const float* w, int m, int slice) {
  const int width = RoundUp((m + kRouterSlices - 1) / kRouterSlices, 32), begin = slice * width;
  const int end = min(m, begin + width);
  float sum = 0.0f;
#pragma unroll 8
  for (int c = begin + threadIdx.x % 32; c < end; c += 32) sum = fmaf(x[c], w[c], sum);
  return WarpSum(sum);
}

// The router in f32, whatever the arithmetic; the last block chooses. With few rows a block makes one logit,
// a warp each of its slices; else a warp makes a logit. The sums are the same.
__device__ inline void Route(const Block& b, const LayerArgs& layer, int index) {
  __shared__ float slices[kRouterSlices];
  const ModelArgs& m = b.model;
  const StepArgs& a = b.step;
  float* normed = reinterpret_cast<float*>(b.shared);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const bool few = a.tokens * m.most_experts <= 2 * b.ncta;
  const int each = few ? 1 : kWarps, chunks = (m.most_experts + each - 1) / each;
  for (int item = b.cta; item < a.tokens * chunks; item += b.ncta) {
    const int t = item / chunks, chunk = item % chunks;
    const float* x = a.residual + int64_t{t} * m.m;
    float* logits = a.router_logits + (int64_t{index} * a.tokens + t) * m.most_experts;
    __syncthreads();
    NormRows(
        m, 1, [&](int) { return x; }, layer.mlp_norm,
        [&](int, int c, float y) {
          normed[c] = y;
          if (a.normed_tap != nullptr && chunk == 0) a.normed_tap[int64_t{t} * m.m + c] = y;
        });
    __syncthreads();
    const int expert = few ? chunk : chunk * kWarps + warp;
    const bool there = expert < layer.num_experts;
    const float* w = layer.router + int64_t{expert} * m.m;
    if (few) {
      const float slice = there ? RouterSlice(normed, w, m.m, warp) : 0.0f;
      if (lane == 0) slices[warp] = slice;
      __syncthreads();
      if (threadIdx.x == 0) {
        float sum = slices[0];
        for (int i = 1; i < kRouterSlices; ++i) sum += slices[i];
        logits[expert] = there ? sum + layer.router_bias[expert] : -INFINITY;
      }
    } else if (expert < m.most_experts) {
      float sum = there ? RouterSlice(normed, w, m.m, 0) : 0.0f;
      for (int i = 1; i < kRouterSlices && there; ++i) sum += RouterSlice(normed, w, m.m, i);
      if (lane == 0) logits[expert] = there ? sum + layer.router_bias[expert] : -INFINITY;
    }
  }
  if (!ArrivesLast(a.router_arrivals, b.ncta)) return;
  auto* shared = reinterpret_cast<int32_t*>(b.shared);
  ChooseExperts(m, a, layer, index, shared);
  GroupByExpert(a, layer, index, shared);
}

// std::min and std::clamp, which keep a NaN of their first argument.
__device__ inline float AtMost(float x, float most) { return most < x ? most : x; }
__device__ inline float AtLeast(float x, float least) { return x < least ? least : x; }
__device__ inline float SwiGlu(const ModelArgs& m, float gate, float up) {
  gate = AtMost(gate, m.limit);
  up = AtMost(AtLeast(up, -m.limit), m.limit);
  return gate / (1.0f + expf(-m.alpha * gate)) * (up + 1.0f);
}

// As many tiles from `tile` on as fit the inputs together; returns the first that is left.
// product_of(expert): its matrix and bias; groups_of(tile): its share of this block. Of several tiles, each
// has at most 4 rows. `share_rows`: tiles of one row may have the same one.
struct Product {
  const Matrix& m;
  const float* bias;
};
template <class ProductOf, class RowOf, class GroupsOf>
__device__ inline int GatherJobs(const Block& b, int tile, int tiles, const ProductOf& product_of,
                                 const RowOf& row_of, const GroupsOf& groups_of, bool share_rows, int& rows,
                                 int ahead = kMostSlots) {
  __shared__ Job found[kTileTokens];  // what lies at the next tiles, looked up side by side
  __shared__ int next, used;
  __syncthreads();
  if (threadIdx.x < kTileTokens && tile + static_cast<int>(threadIdx.x) < tiles) {
    Job& job = found[threadIdx.x];
    const Range groups = groups_of(tile + threadIdx.x);
    const Tile of = b.step.tiles[tile + threadIdx.x];  // loads side by side
    const Product product = product_of(of.expert);
    job.m = product.m;
    job.bias = product.bias;
    job.first_group = static_cast<int>(groups.begin);
    job.through = static_cast<int>(groups.end);  // for now
    job.tokens = of.count;
#pragma unroll
    for (int i = 0; i < kTileTokens; ++i) job.place[i] = of.place[i];
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    b.jobs.Clear();
    used = 0;
    for (next = tile; next < tiles && next < tile + kTileTokens; ++next) {
      const Job& job = found[next - tile];
      if (job.first_group >= job.through) continue;
      const bool first = b.jobs.n == 0;
      if (!first &&
          (job.tokens > 4 || b.jobs.most_tokens > 4 || job.m.unit_bytes != b.jobs.job[0].m.unit_bytes ||
           job.m.unit_cols != b.jobs.job[0].m.unit_cols))
        break;
      int at = used;
      if (share_rows && job.tokens == 1) {
        for (at = 0; at < used && b.rows[at] != row_of(job.place[0]);) ++at;
      }
      if (at == used) {
        if (used + job.tokens > kTileTokens) break;
        for (int i = 0; i < job.tokens; ++i) b.rows[used++] = row_of(job.place[i]);
      }
      Job& added = b.jobs.Add(job.m, job.bias, job.first_group, job.through, at, job.tokens);
      for (int i = 0; i < job.tokens; ++i) added.place[i] = job.place[i];
    }
  }
  __syncthreads();
  StartRings(b.rings, b.jobs, ahead);
  rows = used;
  return next;
}

struct TwoFloats {
  float at[2];
};
__device__ inline TwoFloats BiasOf(const Job& job, int row, int rows) {
  return {row < rows ? job.bias[row] : 0.0f, row + 1 < rows ? job.bias[row + 1] : 0.0f};
}

template <int kParts>
__device__ inline void GateUp(const Block& b, const LayerArgs& layer) {
  const ModelArgs& m = b.model;
  const StepArgs& a = b.step;
  const int tiles = *a.num_tiles;
  const Range units = ShareOf(int64_t{tiles} * ((2 * m.f + kUnitRows - 1) / kUnitRows), b.cta, b.ncta);
  const Inputs<kParts> x(b.shared, PaddedColumns(m.m), m.arithmetic == Arithmetic::kF16);
  for (int tile = 0; tile < tiles;) {
    int rows;
    tile = GatherJobs(
        b, tile, tiles, [](const ExpertArgs& e) { return Product{e.gate_up, e.gate_up_bias}; },
        [&](int place) { return place / a.stride; }, [&](int of) { return GroupsOfTile(units, of, tiles); },
        /*share_rows=*/true, rows);
    if (rows == 0) continue;
    LoadNormed<kParts>(b, x, rows, layer.mlp_norm, [&](int i) { return b.rows[i]; }, nullptr);
    Multiply<kParts, TwoFloats>(
        b.jobs, b.rings, x, [&](const Job& job, int row, int) { return BiasOf(job, row, 2 * m.f); },
        [&](const Job& job, int row, int token, float y0, float y1, const TwoFloats& bias) {
          if (row < 2 * m.f)
            a.gated[int64_t{job.place[token]} * m.f + row / 2] = SwiGlu(m, y0 + bias.at[0], y1 + bias.at[1]);
        });
  }
}

// A block has the same rows of all experts, so that it can add a token's up.
__device__ inline Range DownGroups(const Block& b) {
  return ShareOf((b.model.m + kUnitRows - 1) / kUnitRows, b.cta, b.ncta);
}
__device__ inline int GatherDown(const Block& b, int tile, int& rows, int ahead = kMostSlots) {
  return GatherJobs(
      b, tile, *b.step.num_tiles, [](const ExpertArgs& e) { return Product{e.down, e.down_bias}; },
      [](int place) { return place; }, [&](int) { return DownGroups(b); }, /*share_rows=*/false, rows, ahead);
}

// `prepared`: the first jobs are gathered, up to tile `left`, with `rows` rows.
struct PreparedDown {
  int left, rows;
};
template <int kParts>
__device__ inline void Down(const Block& b, int index, bool prepared, PreparedDown first_jobs) {
  const ModelArgs& m = b.model;
  const StepArgs& a = b.step;
  const Range groups = DownGroups(b);
  if (groups.begin >= groups.end) return;
  const int tiles = *a.num_tiles;
  const Inputs<kParts> x(b.shared, PaddedColumns(m.f), m.arithmetic == Arithmetic::kF16);
  for (int tile = 0; tile < tiles;) {
    int rows = first_jobs.rows;
    if (prepared) {
      tile = first_jobs.left;
      FillRings(b.rings, b.jobs, kMostSlots);
    } else {
      tile = GatherDown(b, tile, rows);
    }
    prepared = false;
    LoadRows<kParts>(x, rows, a.gated, m.f, [&](int i) { return b.rows[i]; });
    Multiply<kParts, TwoFloats>(
        b.jobs, b.rings, x, [&](const Job& job, int row, int) { return BiasOf(job, row, m.m); },
        [&](const Job& job, int row, int token, float y0, float y1, const TwoFloats& bias) {
          float* out = a.contributions + int64_t{job.place[token]} * m.m + row;
          if (row < m.m) out[0] = y0 + bias.at[0];
          if (row + 1 < m.m) out[1] = y1 + bias.at[1];
        });
  }
  __syncthreads();
  // In the order of ranks; a few at a time, so that their loads run side by side.
  constexpr int kRanks = 4;
  const int first = static_cast<int>(groups.begin) * kUnitRows;
  const int rows = min(m.m, static_cast<int>(groups.end) * kUnitRows) - first;
  for (int i = threadIdx.x; i < a.tokens * rows; i += kThreads) {
    const int t = i / rows, row = first + i % rows;
    const int64_t at = int64_t{t} * m.m + row, place = (int64_t{index} * a.tokens + t) * a.stride;
    const float before = a.residual[at];
    float sum = 0.0f;
    for (int rank = 0; rank < a.stride; rank += kRanks) {
      int expert[kRanks];
      float weight[kRanks], part[kRanks];
#pragma unroll
      for (int r = 0; r < kRanks; ++r) {
        expert[r] = rank + r < a.stride ? a.experts[place + rank + r] : -1;
        weight[r] = rank + r < a.stride ? a.weights[place + rank + r] : 0.0f;
        part[r] =
            rank + r < a.stride ? a.contributions[(int64_t{t} * a.stride + rank + r) * m.m + row] : 0.0f;
      }
#pragma unroll
      for (int r = 0; r < kRanks; ++r) {
        if (expert[r] >= 0) sum += weight[r] * part[r];
      }
    }
    a.moe_out[at] = sum;
    a.residual[at] = before + sum;
  }
}

template <int kParts>
__device__ inline void Unembed(const Block& b, bool prepared) {
  const ModelArgs& m = b.model;
  const StepArgs& a = b.step;
  const Inputs<kParts> x(b.shared, m.head.cols, m.arithmetic == Arithmetic::kF16);
  for (int r = threadIdx.x; r < a.rows; r += kThreads) a.peaks[int64_t{r} * b.ncta + b.cta] = {0, 0};
  ForTiles(b, m.head, nullptr, a.rows, prepared, [&](int first, int tokens, Range groups) {
    LoadNormed<kParts>(b, x, tokens, m.final_norm, [&](int i) { return a.logits_rows[first + i]; }, nullptr);
    Multiply<kParts, int>(
        b.jobs, b.rings, x, [](const Job&, int, int) { return 0; },
        [&](const Job&, int row, int token, float y0, float y1, int) {
          float* out = a.logits + int64_t{first + token} * m.v + row;
          if (row < m.v) out[0] = y0;
          if (row + 1 < m.v) out[1] = y1;
        });
    // The highest of this block's part of each row, for the sampler.
    __syncthreads();
    const int begin = static_cast<int>(groups.begin) * kUnitRows,
              end = min(m.v, static_cast<int>(groups.end) * kUnitRows);
    for (int i = 0; i < tokens; ++i) {
      const RowPeak peak = PeakOf(a.logits + int64_t{first + i} * m.v, begin, end, b.peaks);
      if (threadIdx.x == 0) a.peaks[int64_t{first + i} * b.ncta + b.cta] = peak;
    }
  });
  if (a.normed_tap == nullptr) return;
  for (int t = b.cta; t < a.tokens; t += b.ncta) {
    const float* row = a.residual + int64_t{t} * m.m;
    __syncthreads();
    NormRows(
        m, 1, [&](int) { return row; }, m.final_norm,
        [&](int, int c, float y) { a.normed_tap[int64_t{t} * m.m + c] = y; });
  }
}

__device__ inline void ChangeLogits(const Block& b) {
  const Range part = ShareOf(b.model.v, b.cta, b.ncta);
  for (int i = 0; i < b.step.samples; ++i) {
    const SampleArgs& sample = b.step.sample[i];
    if (!Changes(sample)) continue;
    const RowPeak peak = ChangeLogits(b.step, sample, i, b.model.v, static_cast<int>(part.begin),
                                      static_cast<int>(part.end), b.peaks);
    if (threadIdx.x == 0) b.step.changed_peaks[int64_t{i} * b.ncta + b.cta] = peak;
  }
}

__device__ inline void Sample(const Block& b) {
  for (int i = b.cta; i < b.step.samples; i += b.ncta) SampleRow(b.model, b.step, i, b.ncta);
}

// The last sample of a sequence is what its slot keeps.
__device__ inline void KeepTokens(const Block& b) {
  if (b.cta != 0 || threadIdx.x != 0) return;
  for (int i = 0; i < b.step.samples; ++i) {
    const SampleArgs& sample = b.step.sample[i];
    const SampleResult& result = b.step.results[i];
    if (sample.draw) b.step.last_token[sample.slot] = result.finite && !result.empty_mask ? result.token : 0;
  }
}

// A phase whose first jobs were made, and whose weights are on their way, since the phase before it or the
// one before that was done with.
struct Prepared {
  int index = -1;  // -1: none
  PreparedDown down = {};
};

template <int kParts>
__device__ inline void RunPhase(const Block& b, PhaseOf at, bool prepared, PreparedDown down) {
  const LayerArgs* layer = at.layer >= 0 ? b.layers + at.layer % 2 : nullptr;
  switch (at.phase) {
    case Phase::kEmbed:
      return Embed(b);
    case Phase::kQueryKeyValue:
      return QueryKeyValue<kParts>(b, *layer, prepared);
    case Phase::kAttend:
      return Attend<kParts>(b, *layer);
    case Phase::kOut:
      return Out<kParts>(b, *layer, prepared);
    case Phase::kRoute:
      return Route(b, *layer, at.layer);
    case Phase::kGateUp:
      return GateUp<kParts>(b, *layer);
    case Phase::kDown:
      return Down<kParts>(b, at.layer, prepared, down);
    case Phase::kUnembed:
      return Unembed<kParts>(b, prepared);
    case Phase::kChangeLogits:
      return ChangeLogits(b);
    case Phase::kSample:
      return Sample(b);
    case Phase::kKeepTokens:
      return KeepTokens(b);
  }
}

// Behind phase `index`, before the grid waits: what the next products read that no later phase decides. Not
// beyond `end`.
__device__ inline void Prepare(const Block& b, int index, int end, int layers, Prepared& prepared) {
  const PhaseOf at = PhaseAt(index, layers);
  const int target = at.phase == Phase::kQueryKeyValue ? index + 2 : index + 1;  // across attention
  if (b.rings.slots == 0 || target >= end) return;
  const PhaseOf next = PhaseAt(target, layers);
  if (at.phase == Phase::kAttend || at.phase == Phase::kOut || at.phase == Phase::kRoute ||
      at.phase > Phase::kDown)
    return;
  prepared.index = target;
  const LayerArgs& next_layer = b.layers[next.layer < 0 ? 0 : next.layer % 2];
  if (next.phase == Phase::kQueryKeyValue)
    return PrepareTiles(b, next_layer.qkv, next_layer.qkv_bias, b.step.tokens);
  if (next.phase == Phase::kOut) return PrepareTiles(b, next_layer.out, next_layer.out_bias, b.step.tokens);
  if (next.phase == Phase::kUnembed) return PrepareTiles(b, b.model.head, nullptr, b.step.rows);
  const Range groups = DownGroups(b);
  if (groups.begin < groups.end && *b.step.num_tiles > 0)
    prepared.down.left = GatherDown(b, 0, prepared.down.rows, kAheadOfBarrier);
}

}  // namespace oxidized::cuda
