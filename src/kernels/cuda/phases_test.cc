#include <gtest/gtest.h>

#include "kernels/cuda/step_args.h"

namespace oxidized::cuda {
namespace {

TEST(CudaPhases, AStepIsEachPhaseOnceInOrder) {
  for (const int layers : {1, 2, 24}) {
    EXPECT_EQ(PhaseAt(0, layers).phase, Phase::kEmbed);
    for (int layer = 0; layer < layers; ++layer) {
      for (int p = 0; p < kLayerPhases; ++p) {
        const PhaseOf at = PhaseAt(1 + layer * kLayerPhases + p, layers);
        EXPECT_EQ(at.layer, layer);
        EXPECT_EQ(static_cast<int>(at.phase), static_cast<int>(Phase::kQueryKeyValue) + p);
      }
    }
    EXPECT_EQ(PhaseAt(ForwardPhases(layers) - 1, layers).phase, Phase::kUnembed);
    EXPECT_EQ(PhaseAt(ForwardPhases(layers), layers).phase, Phase::kChangeLogits);
    EXPECT_EQ(PhaseAt(ForwardPhases(layers) + 1, layers).phase, Phase::kSample);
    EXPECT_EQ(PhaseAt(AllPhases(layers) - 1, layers).phase, Phase::kKeepTokens);
  }
}

}  // namespace
}  // namespace oxidized::cuda
