// The ceilings' loops: each tier has its own, they are not optimised away, and the counting of operations is
// that of the instructions. How fast they are is nobody's to assert.
#include "kernels/cpu/ceilings.h"

#include "base/interrupt.h"
#include "kernels/cpu/ceiling_loops.h"
#include "kernels/cpu/kernel_test_support.h"

namespace oxidized {
namespace {

class CeilingsTest : public TierTest {};

TEST_P(CeilingsTest, EveryTierHasItsOwnLoops) { EXPECT_TRUE(HasCeilingLoops(kernels())); }

TEST_P(CeilingsTest, ReadingTouchesEveryByte) {
  const CeilingLoops& loops = *FindCeilingLoops(kernels().name);
  constexpr int64_t kBytes = 4096;
  Bytes bytes(kBytes, 0);
  std::memset(bytes.data(), 0, kBytes);
  EXPECT_EQ(loops.read(bytes.data(), kBytes), 0u);
  for (int64_t i = 0; i < kBytes; i += 8) {  // one word at a time
    const uint64_t one = 0x0101010101010101;
    std::memcpy(bytes.data() + i, &one, 8);
    EXPECT_EQ(loops.read(bytes.data(), kBytes), one) << i;
    std::memset(bytes.data() + i, 0, 8);
  }
}

// Every round adds 0.5 * 1.0 (bf16: a pair of them), or dots of 2 * 3, to each of the sums.
TEST_P(CeilingsTest, RoundsDoWhatTheyCount) {
  const CeilingLoops& loops = *FindCeilingLoops(kernels().name);
  constexpr int64_t kRounds = 96;
  for (const ArithmeticLoop* loop : {&loops.f32, &loops.bf16, &loops.int8}) {
    if (loop->run == nullptr) continue;
    EXPECT_EQ(loop->run(0), 0.0);
    EXPECT_EQ(loop->run(2 * kRounds), 2 * loop->run(kRounds));
    EXPECT_GT(loop->run(kRounds), 0.0);
  }
  // The result is the first lane over all sums: half of a round's operations, shared by the lanes, a product
  // each.
  const auto lanes = [&](const ArithmeticLoop& loop, double product, double result_lanes) {
    return loop.run(kRounds) * result_lanes / (product * kRounds * static_cast<double>(loop.operations / 2));
  };
  const std::string name = kernels().name;
  const double width = name.starts_with("avx512") ? 16 : name == "avx2" ? 8 : 4;
  EXPECT_EQ(lanes(loops.f32, 0.5, width), 1.0);
  if (loops.bf16.run != nullptr) {
    EXPECT_EQ(lanes(loops.bf16, 0.5, width), 1.0);
  }
  if (loops.int8.run != nullptr) {
    EXPECT_EQ(lanes(loops.int8, 6.0, width), 1.0);
  }
  EXPECT_EQ(loops.bf16.run != nullptr, kernels().native_bf16);
}

TEST_P(CeilingsTest, MeasuresSomething) {
  ThreadTeam team(2);
  BandwidthProbe probe(team, kernels(), 1 << 20);
  EXPECT_GT(probe.Measure(0.0), 0.0);
  const Ceilings ceilings = MeasureArithmetic(team, kernels(), 1e-4);
  EXPECT_GT(ceilings.f32_per_s, 0.0);
  EXPECT_EQ(ceilings.bf16_per_s > 0.0, kernels().native_bf16);
}

TEST(BandwidthProbeTest, ABufferSmallerThanTheTeamStillGivesEachThreadSomething) {
  ThreadTeam team(3);
  BandwidthProbe probe(team, SelectCpuKernels(), 1);
  EXPECT_GT(probe.Measure(0.0), 0.0);
}

TEST(CeilingsInterruptTest, NoMeasurementGoesOnBehindAnInterrupt) {
  ThreadTeam team(1);
  BandwidthProbe probe(team, SelectCpuKernels(), 1 << 20);
  SetInterruptCheck([] { return true; });
  EXPECT_THROW(probe.Measure(0.01), Interrupted);
  EXPECT_THROW(MeasureArithmetic(team, SelectCpuKernels(), 0.01), Interrupted);
  SetInterruptCheck(nullptr);
}

INSTANTIATE_TEST_SUITE_P(Tiers, CeilingsTest, ::testing::ValuesIn(CpuTiers()), TierName);

}  // namespace
}  // namespace oxidized
