#include "devices/memory_plan.h"

#include <gtest/gtest.h>

namespace oxidized {
namespace {

// 100 experts of 10 bytes, 1000 dense bytes; a token reads all dense weights and 20 experts.
PlanInput Input() {
  PlanInput in;
  in.dense_bytes = 1000;
  in.expert_bytes = 1000;
  in.experts = 100;
  in.slot_bytes = 11;
  in.kv_bytes = 50;
  in.activation_bytes = 30;
  in.heap_bytes = 20;
  in.decode_dense_bytes = 1000;
  in.decode_expert_bytes = 200;
  in.least_slots = 4;
  in.available_bytes = 10000;
  in.memory_bytes_per_s = 12000;
  in.disk_bytes_per_s = 1000;
  return in;
}

TEST(MemoryPlan, EverythingInMemoryIsBoundByMemoryAlone) {
  const MemoryPlan plan = MakePlan(Input());
  EXPECT_TRUE(plan.fits);
  EXPECT_TRUE(plan.everything_fits);
  EXPECT_EQ(plan.needed_bytes, 2100);
  EXPECT_DOUBLE_EQ(plan.hit_rate, 1.0);
  EXPECT_DOUBLE_EQ(plan.tokens_per_s, 10.0);
  EXPECT_EQ(plan.fitting_slots, 100);
}

TEST(MemoryPlan, APoolReadsItsMissesFromTheDisk) {
  PlanInput in = Input();
  in.slots = 25;
  in.available_bytes = 1500;
  const MemoryPlan plan = MakePlan(in);
  EXPECT_TRUE(plan.fits);
  EXPECT_FALSE(plan.everything_fits);
  EXPECT_EQ(plan.pool_bytes, 275);
  EXPECT_EQ(plan.needed_bytes, 1375);
  EXPECT_DOUBLE_EQ(plan.hit_rate, 0.25);
  EXPECT_DOUBLE_EQ(plan.disk_bytes_per_token, 150.0);
  EXPECT_DOUBLE_EQ(plan.tokens_per_s, 1.0 / (0.1 + 0.15));
  EXPECT_EQ(plan.fitting_slots, 36);  // (1500 - 1100) / 11
}

TEST(MemoryPlan, AMappedModelThatDoesNotFitReadsWhatIsMissing) {
  PlanInput in = Input();
  in.available_bytes = 1600;  // 500 of 1000 bytes of experts
  const MemoryPlan plan = MakePlan(in);
  EXPECT_FALSE(plan.fits);
  EXPECT_DOUBLE_EQ(plan.hit_rate, 0.5);
  EXPECT_DOUBLE_EQ(plan.tokens_per_s, 1.0 / (0.1 + 0.1));
}

TEST(MemoryPlan, WhatIsConvertedIsNeverReadFromTheDisk) {
  PlanInput in = Input();
  in.own_expert_bytes = in.expert_bytes;
  in.own_experts = in.experts;
  in.slot_bytes = 0;
  in.available_bytes = 1600;
  MemoryPlan plan = MakePlan(in);
  EXPECT_FALSE(plan.fits);
  EXPECT_DOUBLE_EQ(plan.hit_rate, 1.0);
  EXPECT_EQ(plan.fitting_slots, 0);
  EXPECT_DOUBLE_EQ(plan.disk_bytes_per_token, 500.0);  // of the dense weights, which stayed mapped
  in.own_dense_bytes = in.dense_bytes;
  EXPECT_DOUBLE_EQ(MakePlan(in).disk_bytes_per_token, 0.0);

  // Half of the experts: the others come from a pool.
  in = Input();
  in.own_expert_bytes = 500;
  in.own_experts = 50;
  in.slots = 10;
  in.available_bytes = 1800;
  plan = MakePlan(in);
  EXPECT_EQ(plan.needed_bytes, 1100 + 500 + 110);
  EXPECT_DOUBLE_EQ(plan.hit_rate, 0.6);
  EXPECT_DOUBLE_EQ(plan.disk_bytes_per_token, 80.0);
  EXPECT_EQ(plan.fitting_slots, 18);  // (1800 - 1100 - 500) / 11
}

TEST(MemoryPlan, WithoutRoomForTheDenseWeightsNothingFits) {
  PlanInput in = Input();
  in.available_bytes = 600;
  in.slots = 4;
  const MemoryPlan plan = MakePlan(in);
  EXPECT_FALSE(plan.fits);
  EXPECT_EQ(plan.fitting_slots, 0);
  EXPECT_GT(plan.disk_bytes_per_token, 500.0);
}

}  // namespace
}  // namespace oxidized
