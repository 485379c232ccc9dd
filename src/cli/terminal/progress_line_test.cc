#include "cli/terminal/progress_line.h"

#include <gtest/gtest.h>

namespace oxidized::cli {
namespace {

TEST(ProgressLine, TellsHowMuchAndHowFast) {
  const ProgressLine::Clock::time_point begin{};
  const ProgressLine line("model.gguf", begin);
  EXPECT_EQ(line.At(0, 13'800'000'000, begin + std::chrono::seconds(1)), "model.gguf: 0.0 of 13.8 GB");
  EXPECT_EQ(line.At(3'200'000'000, 13'800'000'000, begin), "model.gguf: 3.2 of 13.8 GB");
  EXPECT_EQ(line.At(3'200'000'000, 13'800'000'000, begin + std::chrono::seconds(2)),
            "model.gguf: 3.2 of 13.8 GB, 1.6 GB/s");
  EXPECT_EQ(line.At(100'000'000, 13'800'000'000, begin + std::chrono::seconds(2)),
            "model.gguf: 0.1 of 13.8 GB, 50.0 MB/s");
}

}  // namespace
}  // namespace oxidized::cli
