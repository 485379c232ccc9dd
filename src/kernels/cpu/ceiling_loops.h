// The inner loops behind ceilings.cc, by instruction set. Each function is compiled for its own instructions
// by an attribute, so that this needs no flags; call one only where the tier is available.
#pragma once

#include <cstddef>
#include <cstdint>

namespace oxidized {

// Does `rounds` rounds of `operations` operations each in registers; returns something that depends on all of
// them.
struct ArithmeticLoop {
  double (*run)(int64_t rounds) = nullptr;  // nullptr: no such instruction
  int64_t operations = 0;
};

struct CeilingLoops {
  const char* tier;
  // Reads `bytes`, a multiple of 512, from an address aligned to 64.
  uint64_t (*read)(const std::byte* from, int64_t bytes);
  ArithmeticLoop f32, bf16, int8;
};

// The row of a tier, or nullptr.
const CeilingLoops* FindCeilingLoops(const char* tier);

}  // namespace oxidized
