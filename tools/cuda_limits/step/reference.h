// One layer of the step in double on the host, with the same roundings of inputs to bf16, read from the
// packed weights through PlaceOf: it shares the layout with the kernels, not the arithmetic.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "../device/formats.cuh"
#include "model.h"

namespace limits::step {

inline double Bf16(uint16_t bits) {
  const uint32_t word = uint32_t{bits} << 16;
  float v;
  std::memcpy(&v, &word, 4);
  return v;
}
inline double RoundToBf16(double v) {
  const auto f = static_cast<float>(v);
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  bits += 0x7FFF + (bits >> 16 & 1);
  return Bf16(static_cast<uint16_t>(bits >> 16));
}

struct ExpertWeights {
  std::vector<uint8_t> gate_up, down;
  std::vector<float> gate_up_bias, down_bias;
};
struct LayerInputs {
  std::vector<uint8_t> qkv, out;
  std::vector<float> norms, biases, router_bias, sinks, rotation;
  std::vector<uint16_t> router, keys, values, embedding;
  std::function<ExpertWeights(int)> expert;
  int position = 0, experts = 0;
};
struct LayerOutputs {
  std::vector<double> query, attention, middle, activated, residual;
};

// Row `row` of a matrix of bf16 units times x.
inline double Bf16Row(const std::vector<uint8_t>& units, int depth, int cols, int row,
                      const std::vector<double>& x) {
  const int chunks = depth / cols;
  double sum = 0;
  for (int c = 0; c < depth; ++c) {
    const uint8_t* unit = units.data() + (static_cast<size_t>(row / 8) * chunks + c / cols) * cols * 16;
    const Place p = PlaceOf(row % 8, c % cols, cols);
    uint16_t bits;
    std::memcpy(&bits, unit + p.step * 512 + p.lane * 16 + p.reg * 4 + p.half * 2, 2);
    sum += Bf16(bits) * x[c];
  }
  return sum;
}
inline double ExpertRow(const std::vector<uint8_t>& units, int row, const double* x) {
  constexpr double kCodes[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6};
  constexpr int kSteps = kExpertCols / 32;
  double sum = 0;
  for (int c = 0; c < kHidden; ++c) {
    const uint8_t* unit =
        units.data() + (static_cast<size_t>(row / 8) * kExpertChunks + c / kExpertCols) * kExpertUnit;
    const int col = c % kExpertCols, second = col >= kExpertCols / 2;
    const Place p = PlaceOf(row % 8, col, kExpertCols);
    uint32_t word;
    std::memcpy(&word, unit + WordAt(p.step, p.lane, kSteps), 4);
    int code = 0;
    for (int b = 0; b < 4; ++b) code |= static_cast<int>(word >> Mxfp4Bit(p.reg, p.half, b) & 1) << b;
    const int scale = unit[kSteps * 128 + row % 8 * Mxfp4Form::ScaleBytes(kSteps) +
                           (col - second * (kExpertCols / 2)) / 32 * 2 + second];
    sum += kCodes[code] * std::ldexp(1.0, scale - 126 - 127) * x[c];
  }
  return sum;
}
inline std::vector<double> Normed(const std::vector<double>& h, const float* weights) {
  double sum = 0;
  for (double v : h) sum += v * v;
  const double rms = 1 / std::sqrt(sum / kHidden + kEpsilon);
  std::vector<double> x(kHidden);
  for (int i = 0; i < kHidden; ++i) x[i] = h[i] * rms * weights[i];
  return x;
}
inline std::vector<double> Rounded(std::vector<double> x) {
  for (double& v : x) v = RoundToBf16(v);
  return x;
}

inline LayerOutputs ReferenceLayer(const LayerInputs& in) {
  LayerOutputs r;
  std::vector<double> h(kHidden);
  for (int i = 0; i < kHidden; ++i) h[i] = Bf16(in.embedding[i]);
  const auto x = Rounded(Normed(h, in.norms.data()));
  // Queries in natural order; keys and values of this position lie in the cache already, checked on the way.
  r.query.resize(kQuery);
  std::vector<double> keys(kKvHeads * kHeadSize), values(kKvHeads * kHeadSize);
  for (int group = 0; group < kQkvGroups; ++group)
    for (int pair = 0; pair < 4; ++pair) {
      const int head = group / 8, d = group % 8 * 4 + pair;
      double v0 = Bf16Row(in.qkv, kHidden, kHiddenCols, group * 8 + pair, x) + in.biases[group * 8 + pair];
      double v1 =
          Bf16Row(in.qkv, kHidden, kHiddenCols, group * 8 + pair + 4, x) + in.biases[group * 8 + pair + 4];
      if (head < kHeads + kKvHeads) {
        const double c = in.rotation[d * 2], s = in.rotation[d * 2 + 1], r0 = v0 * c - v1 * s,
                     r1 = v1 * c + v0 * s;
        v0 = r0;
        v1 = r1;
      }
      double* to = head < kHeads              ? r.query.data() + head * kHeadSize
                   : head < kHeads + kKvHeads ? keys.data() + (head - kHeads) * kHeadSize
                                              : values.data() + (head - kHeads - kKvHeads) * kHeadSize;
      to[d] = v0;
      to[d + 32] = v1;
    }
  r.attention.resize(kQuery);
  const int low = std::max(0, in.position - kWindow + 1);  // layer 0 slides
  for (int head = 0; head < kHeads; ++head) {
    const int kv = head / 8;
    std::vector<double> scores;
    double largest = in.sinks[head];
    for (int key = low; key <= in.position; ++key) {
      double s = 0;
      for (int d = 0; d < kHeadSize; ++d)
        s += RoundToBf16(r.query[head * kHeadSize + d] * 0.125) *
             (key == in.position ? RoundToBf16(keys[kv * kHeadSize + d])
                                 : Bf16(in.keys[(kv * kContext + key) * kHeadSize + d]));
      scores.push_back(s);
      largest = std::max(largest, s);
    }
    double total = std::exp(in.sinks[head] - largest);
    for (double s : scores) total += std::exp(s - largest);
    for (int d = 0; d < kHeadSize; ++d) {
      double sum = 0;
      for (int key = low; key <= in.position; ++key)
        sum += std::exp(scores[key - low] - largest) *
               (key == in.position ? RoundToBf16(values[kv * kHeadSize + d])
                                   : Bf16(in.values[(kv * kHeadSize + d) * kContext + key]));
      r.attention[head * kHeadSize + d] = sum / total;
    }
  }
  r.middle.resize(kHidden);
  const auto attention = Rounded(r.attention);
  for (int row = 0; row < kHidden; ++row)
    r.middle[row] = h[row] + Bf16Row(in.out, kQuery, kQueryCols, row, attention) + in.biases[kQkvRows + row];
  const auto normed = Normed(r.middle, in.norms.data() + kHidden);
  std::vector<double> logits(in.experts);
  for (int e = 0; e < in.experts; ++e) {
    logits[e] = in.router_bias[e];
    for (int i = 0; i < kHidden; ++i)
      logits[e] += Bf16(in.router[static_cast<size_t>(i) * in.experts + e]) * normed[i];
  }
  const auto moe_x = Rounded(normed);
  r.residual = r.middle;
  r.activated.resize(kTopK * kHidden);
  double chosen[kTopK], total = 0;
  int ids[kTopK];
  for (int k = 0; k < kTopK; ++k) {
    int best = 0;
    for (int e = 1; e < in.experts; ++e)
      if (logits[e] > logits[best]) best = e;
    ids[k] = best;
    chosen[k] = logits[best];
    logits[best] = -1e30;
    total += std::exp(chosen[k] - chosen[0]);
  }
  for (int k = 0; k < kTopK; ++k) {
    const ExpertWeights w = in.expert(ids[k]);
    double* activated = r.activated.data() + k * kHidden;
    for (int i = 0; i < kHidden; ++i) {
      const int row = i / 4 * 8 + i % 4;
      double gate = ExpertRow(w.gate_up, row, moe_x.data()) + w.gate_up_bias[row];
      double up = ExpertRow(w.gate_up, row + 4, moe_x.data()) + w.gate_up_bias[row + 4];
      gate = std::min(gate, double{kSwigluLimit});
      up = std::min(std::max(up, -double{kSwigluLimit}), double{kSwigluLimit});
      activated[i] = (up + 1) * gate / (1 + std::exp(-double{kSwigluAlpha} * gate));
    }
    std::vector<double> rounded(kHidden);
    for (int i = 0; i < kHidden; ++i) rounded[i] = RoundToBf16(activated[i]);
    for (int row = 0; row < kHidden; ++row)
      r.residual[row] += std::exp(chosen[k] - chosen[0]) / total *
                         (ExpertRow(w.down, row, rounded.data()) + w.down_bias[row]);
  }
  return r;
}

}  // namespace limits::step
