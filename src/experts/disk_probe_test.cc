#include "experts/disk_probe.h"

#include <gtest/gtest.h>

#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

TEST(DiskProbe, ReadsAFileOfAnySize) {
  const testing::TempFolder temp;
  for (const size_t size : {size_t{5000}, size_t{3} << 20}) {
    const auto path = temp.path() / std::to_string(size);
    testing::WriteFile(path, std::string(size, 'x'));
    const DiskSpeed speed = MeasureDiskSpeed({path}, {static_cast<int64_t>(size)}, 0.02);
    EXPECT_GT(speed.bytes_per_s, 0.0);
    EXPECT_STRNE(speed.method, "");
  }
}

}  // namespace
}  // namespace oxidized
