#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace oxidized {

using namespace sampling_math;

namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr uint64_t kWhole = uint64_t{1} << 32;  // top_p = 1

// NaN becomes the lower bound.
double Between(double low, double x, double high) { return x > low ? std::min(x, high) : low; }

float Bounded(double x) {
  constexpr double most = std::numeric_limits<float>::max();
  return static_cast<float>(Between(-most, x, most));
}

uint64_t MassOf(auto& candidates) {
  uint64_t mass = 0;
  for (const auto& candidate : candidates) mass += Mass(candidate.weight);
  return mass;
}

// Masses of at most 512 values, those of weights below min_p left out. Each in two parts of 20 and 19 bits,
// exactly, so that a compiler can do everything in vectors of 32-bit numbers.
uint64_t MassOfBlock(std::span<const float> values, float highest, float inverse_temperature, float min_p) {
  static_assert(kMassBits == 39);
  const auto least = static_cast<int32_t>(Bits(min_p));
  int32_t high = 0, low = 0;
  for (const float value : values) {
    const float weight = Weight(value, highest, inverse_temperature);
    // All ones from min_p on: as integers positive numbers have the same order.
    const auto kept = static_cast<uint32_t>((least - 1 - static_cast<int32_t>(Bits(weight))) >> 31);
    const float scaled = FromBits(Bits(weight) & kept) * 0x1p20f;
    const auto whole = static_cast<int32_t>(scaled);
    high += whole;
    low += static_cast<int32_t>((scaled - static_cast<float>(whole)) * 0x1p19f);
  }
  return (static_cast<uint64_t>(high) << 19) + static_cast<uint64_t>(low);
}

}  // namespace

SamplingNumbers SamplingNumbersOf(const SamplingParams& params) {
  SamplingNumbers numbers;
  numbers.greedy = params.temperature <= 0.0;
  numbers.penalties = params.needs_history();
  numbers.top_k = params.top_k;
  numbers.top_p = static_cast<uint64_t>(std::llround(Between(0.0, params.top_p, 1.0) * 0x1p32));
  numbers.min_p = static_cast<float>(Between(0.0, params.min_p, 1.0));
  if (!numbers.greedy)
    numbers.inverse_temperature = static_cast<float>(1.0 / Between(0x1p-60, params.temperature, 0x1p60));
  numbers.repetition = Bounded(params.repetition_penalty);
  numbers.inverse_repetition = Bounded(1.0 / params.repetition_penalty);
  numbers.presence = Bounded(params.presence_penalty);
  numbers.frequency = Bounded(params.frequency_penalty);
  numbers.seed = params.seed;
  return numbers;
}

void TokenHistory::Reset(int32_t vocab_size, std::span<const int32_t> tokens) {
  counts_.assign(static_cast<size_t>(vocab_size), 0);
  for (const int32_t token : tokens) Add(token);
}

void Sampler::Row::Scan(std::span<const float> row) {
  values = row;
  block_top.resize((row.size() + kBlock - 1) / kBlock);
  uint32_t largest = 0;  // magnitude
  top = std::numeric_limits<int32_t>::min();
  for (size_t b = 0; b < block_top.size(); ++b) {
    int32_t block = std::numeric_limits<int32_t>::min();
    int32_t magnitude = 0;
    for (const float value : Block(b)) {
      block = std::max(block, ValueOrder(value));
      magnitude = std::max(magnitude, static_cast<int32_t>(Bits(value) & ~kSign));
    }
    block_top[b] = block;
    top = std::max(top, block);
    largest = std::max(largest, static_cast<uint32_t>(magnitude));
  }
  finite = largest < kInfinity;
  highest = FromBits(top >= 0 ? static_cast<uint32_t>(top) : kSign - static_cast<uint32_t>(top));
}

std::span<const float> Sampler::Row::Block(size_t block) const {
  const size_t begin = block * kBlock;
  return values.subspan(begin, std::min(kBlock, values.size() - begin));
}

void Sampler::Sample(std::span<const float> logits, const SamplingParams& params, const TokenMask* mask,
                     const TokenHistory* history, int64_t position, int32_t top_logprobs, int32_t score_token,
                     SampledToken& out) {
  out.token = -1;
  out.logprob = out.score = 0.0f;
  out.top.clear();
  out.empty_mask = false;
  raw_.Scan(logits);
  out.finite = raw_.finite;
  if (!out.finite) return;

  const SamplingNumbers numbers = SamplingNumbersOf(params);
  const bool penalties = numbers.penalties && history != nullptr;
  if (penalties || mask != nullptr) {
    ApplyPenaltiesAndMask(logits, numbers, penalties ? history : nullptr, mask);
    changed_.Scan(values_);
    out.empty_mask = changed_.highest == kMasked;
    if (out.empty_mask) return;
    out.token = Draw(changed_, numbers, position);
  } else {
    out.token = Draw(raw_, numbers, position);
  }

  if (top_logprobs < 0 && score_token < 0) return;  // a pass of exponentials over the vocabulary saved
  const float log_of_mass = LogOfMass(SumMasses(raw_, 1.0f, 0.0f));
  const auto logprob = [&](int32_t token) {
    return LogProbability(logits[static_cast<size_t>(token)], raw_.highest, log_of_mass);
  };
  out.logprob = logprob(out.token);
  if (score_token >= 0) out.score = logprob(score_token);
  if (top_logprobs <= 0) return;
  KeepTopK(raw_, static_cast<size_t>(top_logprobs));
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.rank > b.rank; });
  for (const Candidate& c : candidates_)
    out.top.push_back({TokenOfRank(c.rank), logprob(TokenOfRank(c.rank))});
}

void Sampler::ApplyPenaltiesAndMask(std::span<const float> logits, const SamplingNumbers& numbers,
                                    const TokenHistory* history, const TokenMask* mask) {
  values_.assign(logits.begin(), logits.end());
  if (history != nullptr) {
    const std::span<const int32_t> counts = history->counts();
    for (size_t i = 0; i < values_.size(); ++i) {
      if (counts[i] != 0) values_[i] = Penalized(values_[i], counts[i], numbers);
    }
  }
  if (mask == nullptr) return;
  const std::span<const uint64_t> words = mask->words();
  const size_t known = std::min(values_.size(), static_cast<size_t>(mask->size()));
  for (size_t begin = 0; begin < known; begin += 64) {
    const uint64_t word = words[begin / 64];
    if (word == ~uint64_t{0}) continue;
    for (size_t i = begin; i < std::min(begin + 64, known); ++i) {
      if (((word >> (i - begin)) & 1) == 0) values_[i] = kMasked;
    }
  }
  std::fill(values_.begin() + static_cast<ptrdiff_t>(known), values_.end(), kMasked);
}

int32_t Sampler::Draw(const Row& row, const SamplingNumbers& numbers, int64_t position) {
  if (numbers.greedy) {
    size_t i = static_cast<size_t>(std::find(row.block_top.begin(), row.block_top.end(), row.top) -
                                   row.block_top.begin()) *
               kBlock;
    while (ValueOrder(row.values[i]) != row.top) ++i;
    return static_cast<int32_t>(i);
  }
  const bool top_k = numbers.top_k > 0 && static_cast<size_t>(numbers.top_k) < row.values.size();
  const bool top_p = numbers.top_p < kWhole;
  if (!top_k && !top_p) return DrawOfAll(row, numbers, position);
  if (top_k) {
    KeepTopK(row, static_cast<size_t>(numbers.top_k));
    Weigh(row, numbers);
  }
  if (top_p) KeepTopP(row, numbers, !top_k);
  // The highest weighs 1, so min-p never drops everything.
  std::erase_if(candidates_, [&](const Candidate& c) { return !(c.weight >= numbers.min_p); });
  uint64_t point = DrawPoint(numbers.seed, position, MassOf(candidates_));
  for (const Candidate& c : candidates_) {
    const uint64_t mass = Mass(c.weight);
    if (point < mass) return TokenOfRank(c.rank);
    point -= mass;
  }
  return -1;  // not reached: the point lies below the sum
}

int32_t Sampler::DrawOfAll(const Row& row, const SamplingNumbers& numbers, int64_t position) {
  uint64_t point =
      DrawPoint(numbers.seed, position, SumMasses(row, numbers.inverse_temperature, numbers.min_p));
  size_t block = 0;
  while (point >= block_mass_[block]) point -= block_mass_[block++];
  for (size_t i = block * kBlock;; ++i) {
    const float weight = Weight(row.values[i], row.highest, numbers.inverse_temperature);
    const uint64_t mass = weight >= numbers.min_p ? Mass(weight) : 0;
    if (point < mass) return static_cast<int32_t>(i);
    point -= mass;
  }
}

uint64_t Sampler::SumMasses(const Row& row, float inverse_temperature, float min_p) {
  block_mass_.resize(row.block_top.size());
  uint64_t sum = 0;
  for (size_t b = 0; b < block_mass_.size(); ++b) {
    block_mass_[b] = MassOfBlock(row.Block(b), row.highest, inverse_temperature, min_p);
    sum += block_mass_[b];
  }
  return sum;
}

void Sampler::Collect(const Row& row, int32_t bound) {
  candidates_.clear();
  for (size_t b = 0; b < row.block_top.size(); ++b) {
    if (row.block_top[b] < bound) continue;
    const std::span<const float> values = row.Block(b);
    for (size_t i = 0; i < values.size(); ++i) {
      if (ValueOrder(values[i]) >= bound)
        candidates_.push_back({TokenRank(values[i], static_cast<int32_t>(b * kBlock + i)), 0.0f});
    }
  }
}

void Sampler::Weigh(const Row& row, const SamplingNumbers& numbers) {
  for (Candidate& c : candidates_) {
    const float value = row.values[static_cast<size_t>(TokenOfRank(c.rank))];
    c.weight = Weight(value, row.highest, numbers.inverse_temperature);
  }
}

// The k-th of the blocks' highest values is a bound below which none of the k likeliest lies.
void Sampler::KeepTopK(const Row& row, size_t k) {
  int32_t bound = ValueOrder(kMasked) + 1;
  if (k <= row.block_top.size()) {
    block_order_ = row.block_top;
    const auto kth = block_order_.begin() + static_cast<ptrdiff_t>(k - 1);
    std::nth_element(block_order_.begin(), kth, block_order_.end(), std::greater<>());
    bound = std::max(bound, *kth);
  }
  Collect(row, bound);
  if (candidates_.size() <= k) return;
  selected_ = candidates_;
  const auto kth = selected_.begin() + static_cast<ptrdiff_t>(k - 1);
  std::nth_element(selected_.begin(), kth, selected_.end(),
                   [](const Candidate& a, const Candidate& b) { return a.rank > b.rank; });
  std::erase_if(candidates_, [&](const Candidate& c) { return c.rank < kth->rank; });
}

// The smallest head of the candidates by rank whose mass reaches top_p of all. Only tokens that may belong to
// it are collected: those above a bound that is lowered until they weigh enough.
void Sampler::KeepTopP(const Row& row, const SamplingNumbers& numbers, bool all_are_candidates) {
  const uint64_t mass =
      all_are_candidates ? SumMasses(row, numbers.inverse_temperature, 0.0f) : MassOf(candidates_);
  const uint64_t target = TopPTarget(mass, numbers.top_p);
  for (float depth = 6.0f; all_are_candidates; depth *= 2.0f) {  // to where no mass is left
    Collect(row, ValueOrder(row.highest - depth / numbers.inverse_temperature));
    Weigh(row, numbers);
    if (MassOf(candidates_) >= target) break;
  }
  // Halves what may hold the head's last token.
  selected_ = candidates_;
  auto begin = selected_.begin(), end = selected_.end();
  uint64_t missing = target;
  while (end - begin > 1) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end,
                     [](const Candidate& a, const Candidate& b) { return a.rank > b.rank; });
    uint64_t upper = 0;
    for (auto c = begin; c != middle; ++c) upper += Mass(c->weight);
    if (upper >= missing) {
      end = middle;
    } else {
      missing -= upper;
      begin = middle;
    }
  }
  std::erase_if(candidates_, [last = begin->rank](const Candidate& c) { return c.rank < last; });
}

}  // namespace oxidized
