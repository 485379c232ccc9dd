#include "cli/terminal/wording.h"

#include <gtest/gtest.h>

#include "cli/options/command.h"

namespace oxidized::cli {
namespace {

TEST(WordingTest, EverySettingIsAnOptionOfTheProgram) {
  const char* words[] = {"oxidized_gpt_oss", "completion", "bash"};
  const auto completion = ParseCommandLine(std::size(words), words);
  ASSERT_TRUE(completion);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ((*completion)(), 0);
  const std::string options = ::testing::internal::GetCapturedStdout();
  for (int i = 1; i < kNumSettings; ++i) {
    const std::string flag = FlagOf(static_cast<Setting>(i));
    EXPECT_NE(options.find(flag), std::string::npos) << flag;
  }
}

TEST(WordingTest, AnErrorIsToldWithFlagsAndWithWhatTheProgramOffers) {
  EXPECT_EQ(Told(Error(ErrorKind::kUsage, {.setting = Setting::kPackWeights,
                                           .found = "not here",
                                           .remedies = {{Setting::kDevice, "use {} cpu"}}})),
            "--pack-weights: not here; use --device cpu");
  EXPECT_EQ(Told(Error(ErrorKind::kNoMemory, {.setting = Setting::kUseMmap,
                                              .component = "model",
                                              .found = "too large",
                                              .remedies = {{Setting::kUseMmap, "leave out {}=false"}}})),
            "--use-mmap: model: too large; leave out --use-mmap=false; --dry-run says more");
  EXPECT_EQ(Told(Error(ErrorKind::kBadFile, "model: damaged")), "model: damaged");
}

}  // namespace
}  // namespace oxidized::cli
