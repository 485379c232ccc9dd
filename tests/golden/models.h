// The models of tests/golden/model/ and what every executor is held to on them.
#pragma once

#include <cstdint>
#include <vector>

#include "support/golden_model.h"

namespace oxidized::test {

inline constexpr double kTolerance = 1e-4;  // of the range, f32 against f32
inline constexpr int32_t kContinuation = 64;

inline const std::vector<GoldenModel>& Models() {
  static const std::vector<GoldenModel> models = ReadGoldenModels(GOLDEN_MODELS);
  return models;
}

}  // namespace oxidized::test
