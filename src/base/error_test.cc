#include "base/error.h"

#include <gtest/gtest.h>

#include "base/log_test_util.h"

namespace oxidized {
namespace {

template <typename Action>
Error Thrown(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::kInternal, ""};
}

TEST(ErrorTest, TheFormatSaysWhereThePartsEnd) {
  const Error error =
      Thrown([] { Fail(ErrorKind::kBadFile, "{}: version {}, expected {}", "a: b", 3, "1, 2"); });
  EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
  EXPECT_EQ(error.fault().component, "a: b");
  EXPECT_EQ(error.fault().found, "version 3");
  EXPECT_EQ(error.fault().expected, "1, 2");
  EXPECT_STREQ(error.what(), "a: b: version 3, expected 1, 2");
}

TEST(ErrorTest, AComponentIsOneWordOfTheFormat) {
  EXPECT_EQ(Thrown([] { Fail(ErrorKind::kUsage, "tokenizer: {}", "no: text"); }).fault().component,
            "tokenizer");
  const Error sentence =
      Thrown([] { Fail(ErrorKind::kUsage, "{} is closed: {}", "it", "why, expected that"); });
  EXPECT_EQ(sentence.fault().component, "");
  EXPECT_EQ(sentence.fault().expected, "");
  EXPECT_EQ(sentence.fault().found, "it is closed: why, expected that");
}

TEST(ErrorTest, ASettingIsNamedAndSpelledByWhoeverShowsIt) {
  const Error error(ErrorKind::kUsage, {.setting = Setting::kActivations,
                                        .value = "int8",
                                        .found = "not here",
                                        .remedies = {{Setting::kActivations, "leave out {}"},
                                                     {Setting::kDevice, "use {} cpu"},
                                                     {Setting::kNone, "wait {}"}}});
  EXPECT_STREQ(error.what(),
               "activations int8: not here; leave out activations, or use device cpu, or wait {}");
  EXPECT_EQ(error.setting(), Setting::kActivations);
  const auto shout = [](Setting setting) { return "<" + std::string(NameOf(setting)) + ">"; };
  EXPECT_EQ(error.fault().Text(shout),
            "<activations> int8: not here; leave out <activations>, or use <device> cpu, or wait {}");
}

TEST(ErrorTest, ARequestsErrorKeepsItsSetting) {
  const Error error(RequestError{ErrorKind::kContextFull, "too long", Setting::kContext});
  EXPECT_EQ(error.kind(), ErrorKind::kContextFull);
  EXPECT_EQ(error.setting(), Setting::kContext);
  EXPECT_STREQ(error.what(), "context: too long");
}

TEST(ErrorTest, SettingsHaveNamesOfTheirOwn) {
  for (int i = 1; i < kNumSettings; ++i) {
    const std::string_view name = NameOf(static_cast<Setting>(i));
    EXPECT_FALSE(name.empty()) << i;
    for (int j = 0; j < i; ++j) EXPECT_NE(name, NameOf(static_cast<Setting>(j)));
  }
}

TEST(LogTest, GoesToTheSinkAndNowhereWithoutOne) {
  ::testing::internal::CaptureStderr();
  Log(LogLevel::kWarning, "nobody {}", "hears");
  {
    const testing::LogCapture log;
    Log(LogLevel::kWarning, "one");
    LogFault(LogLevel::kInfo, {.setting = Setting::kDevice, .value = "cuda", .found = "two"});
    EXPECT_EQ(log.text(), "one\ndevice cuda: two\n");
  }
  Log(LogLevel::kWarning, "nobody hears");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace oxidized
