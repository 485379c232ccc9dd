// A C++ model of the tensor core's add, to be held against the card: products are exact; all terms of a group
// (and the accumulator) are aligned to the largest exponent among them, cut to a number of bits behind it,
// and added as integers; the sum becomes a float by cutting or rounding. Which numbers fit is what section d
// finds out.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace limits {

struct AddRules {
  int group;     // products added at once; a step of 16 takes 16 / group adds, one after the other
  int bits;      // kept behind the largest exponent
  bool floor;    // cut towards minus infinity instead of zero
  bool nearest;  // the sum becomes a float by rounding to nearest even instead of cutting
};

struct Term {
  int64_t significand = 0;  // signed
  int lsb = 0;              // exponent of its last bit
  int exponent = 0;  // what counts for the alignment: of the leading bit, in a product of the factors' sum
};

inline Term TermOf(uint32_t bits, int mantissa_bits) {  // bf16 shifted to 32 bits, or f32
  const int biased = bits >> 23 & 0xFF;
  int64_t m = (bits & 0x7FFFFF) | (biased ? 0x800000 : 0);
  m >>= 23 - mantissa_bits;
  const int e = (biased ? biased : 1) - 127;
  return {bits >> 31 ? -m : m, e - mantissa_bits, e};
}

inline float ModelAdd(const Term* terms, int n, const AddRules& rules) {
  int top = -100000;
  for (int i = 0; i < n; ++i)
    if (terms[i].significand != 0 && terms[i].exponent > top) top = terms[i].exponent;
  if (top == -100000) return 0;
  int64_t sum = 0;
  for (int i = 0; i < n; ++i) {
    const int shift = terms[i].lsb - (top - rules.bits);  // left if positive
    int64_t v = terms[i].significand;
    if (shift >= 0)
      v <<= shift;
    else if (shift < -62)
      v = rules.floor && v < 0 ? -1 : 0;
    else if (rules.floor)
      v >>= -shift;
    else
      v = v < 0 ? -(-v >> -shift) : v >> -shift;
    sum += v;
  }
  if (sum == 0) return 0;
  const bool negative = sum < 0;
  uint64_t m = negative ? -sum : sum;
  int lsb = top - rules.bits;
  int length = 64 - __builtin_clzll(m);
  // The last bit that the float can hold.
  int last = lsb + length - 24;
  if (last < -149) last = -149;
  if (last > lsb) {
    const int drop = last - lsb;
    const uint64_t rest = drop >= 64 ? m : m & ((uint64_t{1} << drop) - 1);
    m = drop >= 64 ? 0 : m >> drop;
    if (rules.nearest) {
      const uint64_t half = uint64_t{1} << (drop - 1);
      if (rest > half || (rest == half && (m & 1))) ++m;
    }
    lsb = last;
  }
  const double value = std::ldexp(static_cast<double>(m), lsb);
  return static_cast<float>(negative ? -value : value);
}

// One step: 16 products and the accumulator.
inline float ModelStep(const uint16_t* a, const uint16_t* b, float c, const AddRules& rules) {
  for (int k = 0; k < 16; k += rules.group) {
    Term terms[17];
    for (int i = 0; i < rules.group; ++i) {
      const Term x = TermOf(uint32_t{a[k + i]} << 16, 7), y = TermOf(uint32_t{b[k + i]} << 16, 7);
      terms[i] = {x.significand * y.significand, x.lsb + y.lsb, x.exponent + y.exponent};
    }
    uint32_t bits;
    std::memcpy(&bits, &c, 4);
    terms[rules.group] = TermOf(bits, 23);
    c = ModelAdd(terms, rules.group + 1, rules);
  }
  return c;
}

}  // namespace limits
