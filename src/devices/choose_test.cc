#include <gtest/gtest.h>

#include "base/log_test_util.h"
#include "devices/device.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using testing::ExpectError;

DeviceInstance Hardware(int32_t index) {
  DeviceInstance one;
  one.index = index;
  return one;
}

DeviceAvailability TwoGpus() { return {{Hardware(0), Hardware(1)}, "", {}}; }
DeviceAvailability Software() {
  DeviceInstance one;
  one.hardware = false;
  return {{one}, "", {}};
}
DeviceAvailability One() { return {{Hardware(0)}, "", {}}; }
DeviceAvailability None() { return {{}, "no driver", {Setting::kNone, "install one"}}; }

DevicePlan Planned(bool fits) {
  DevicePlan plan;
  plan.memory.fits = fits;
  plan.memory.needed_bytes = int64_t{3} << 30;
  plan.input.available_bytes = int64_t{2} << 30;
  return plan;
}
DevicePlan Fits(const Checkpoint&, const DeviceOptions&, bool) { return Planned(true); }
DevicePlan TooSmall(const Checkpoint&, const DeviceOptions&, bool) { return Planned(false); }
DevicePlan CannotPack(const Checkpoint&, const DeviceOptions&, bool) {
  throw Error(ErrorKind::kUsage, {.setting = Setting::kPackWeights, .found = "not on this one"});
}
DevicePlan Broken(const Checkpoint&, const DeviceOptions&, bool) { Fail(ErrorKind::kBadFile, "damaged"); }

using Available = DeviceAvailability (*)();
using Plan = DevicePlan (*)(const Checkpoint&, const DeviceOptions&, bool);
DeviceRow Row(const char* name, Available available, Plan plan, bool automatic = true) {
  return {name, "", automatic, available, nullptr, plan, nullptr};
}

// The row that "auto" takes of these, and what it says on the way.
struct Taken {
  std::string name, said;
  int32_t instance = 0;
  int asked = 0;  // how often for metadata
};
Taken Auto(const std::vector<DeviceRow>& rows) {
  Taken taken;
  const Checkpoint checkpoint;
  const testing::LogCapture log;
  const ChosenDevice chosen = ChooseDevice(
      {}, {},
      [&]() -> const Checkpoint& {
        ++taken.asked;
        return checkpoint;
      },
      rows);
  taken.said = log.text();
  taken.name = chosen.row->name;
  taken.instance = chosen.options.instance;
  return taken;
}

TEST(ChooseDevice, AutoTakesTheFirstInHardwareOnWhichTheModelFits) {
  const Taken first = Auto({Row("gpu", TwoGpus, Fits), Row("cpu", One, TooSmall)});
  EXPECT_EQ(first.name, "gpu");
  EXPECT_EQ(first.said, "");

  const Taken small = Auto({Row("gpu", TwoGpus, TooSmall), Row("cpu", One, TooSmall)});
  EXPECT_EQ(small.name, "cpu") << "the last one takes any model";
  EXPECT_NE(small.said.find("gpu is not used: the model needs 3.00 GiB, 2.00 GiB are available; trying cpu"),
            std::string::npos)
      << small.said;
  EXPECT_EQ(std::count(small.said.begin(), small.said.end(), '\n'), 1);

  const Taken refuses = Auto({Row("gpu", TwoGpus, CannotPack), Row("cpu", One, TooSmall)});
  EXPECT_EQ(refuses.name, "cpu");
  EXPECT_NE(refuses.said.find("pack_weights: "), std::string::npos);

  EXPECT_EQ(Auto({Row("gpu", Software, Fits), Row("other", None, Fits), Row("cpu", One, Fits)}).name, "cpu");
  EXPECT_EQ(Auto({Row("reference", One, Fits, /*automatic=*/false), Row("cpu", One, Fits)}).name, "cpu");
}

TEST(ChooseDevice, NothingIsPlannedWhereThereIsNoChoice) {
  EXPECT_EQ(Auto({Row("gpu", None, Fits), Row("cpu", One, Broken)}).asked, 0);
}

TEST(ChooseDevice, ADamagedModelIsNotPassedOn) {
  ExpectError(ErrorKind::kBadFile, {"damaged"},
              [] { Auto({Row("gpu", One, Broken), Row("cpu", One, Fits)}); });
}

TEST(ChooseDevice, ByNameItIsThatOneOrAnErrorThatSaysWhatToDo) {
  const std::vector<DeviceRow> rows = {Row("gpu", TwoGpus, TooSmall), Row("soft", Software, Fits),
                                       Row("none", None, Fits)};
  const auto choose = [&](const char* text) {
    return ChooseDevice(
        *ParseDeviceChoice(text, rows), {},
        [&]() -> const Checkpoint& {
          ADD_FAILURE() << "nothing to plan";
          static const Checkpoint checkpoint;
          return checkpoint;
        },
        rows);
  };
  EXPECT_EQ(choose("gpu:1").options.instance, 1);
  EXPECT_STREQ(choose("soft").row->name, "soft");
  ExpectError(ErrorKind::kUnsupported, {"device none: no driver; install one"}, [&] { choose("none"); });
  ExpectError(ErrorKind::kUnsupported, {"device gpu:2", "2 devices"}, [&] { choose("gpu:2"); });
}

TEST(ChooseDevice, ChoicesAreNamesWithANumber) {
  EXPECT_TRUE(ParseDeviceChoice("auto")->automatic());
  EXPECT_EQ(ParseDeviceChoice("cuda:3"), (DeviceChoice{"cuda", 3}));
  EXPECT_EQ(ParseDeviceChoice("cpu"), (DeviceChoice{"cpu", 0}));
  for (const char* bad : {"", "abacus", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "auto:1", ":1", "CUDA"})
    EXPECT_EQ(ParseDeviceChoice(bad), std::nullopt) << bad;
  EXPECT_EQ(DeviceWords(), "auto|cuda|metal|vulkan|cpu|reference");
}

// What stands in the table is either there or says why not.
TEST(Devices, EveryRowIsAvailableOrSaysWhyAndWhatToDo) {
  for (const DeviceRow& row : Devices()) {
    const DeviceAvailability found = row.available();
    EXPECT_EQ(found.instances.empty(), !found.why_not.empty()) << row.name;
    EXPECT_EQ(found.instances.empty(), !found.what_to_do.words.empty()) << row.name;
    for (const DeviceInstance& one : found.instances) EXPECT_GT(one.memory_bytes, 0) << row.name;
  }
  EXPECT_FALSE(DeviceNamed("cpu").available().instances.empty());
  EXPECT_FALSE(DeviceNamed("reference").available().instances.empty());
  EXPECT_FALSE(DeviceNamed("reference").automatic);
}

}  // namespace
}  // namespace oxidized
