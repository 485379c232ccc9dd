// Every device of this machine against the conformance suite: one test for each device and check, so that a
// failure says which.
#include "executor/testing/conformance/conformance.h"

#include <gtest/gtest.h>

#include <iostream>
#include <ostream>

#include "conformance/subjects.h"
#include "devices/device.h"

namespace oxidized::conformance {
namespace {

struct Case {
  Subject subject;
  const Check* check;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.subject.name << ' ' << c.check->name; }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Check& check : Checks()) {  // check by check, as runs of the reference are kept
    for (const Subject& subject : Subjects()) cases.push_back({subject, &check});
  }
  return cases;
}

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.subject.name + "_" + info.param.check->name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

class Conformance : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Devices, Conformance, ::testing::ValuesIn(Cases()), CaseName);

TEST_P(Conformance, Holds) {
  const auto outcomes =
      RunConformance(GetParam().subject,
                     {.effort = EffortHere(), .only = {GetParam().check->name}, .goldens = GOLDEN_MODELS});
  ASSERT_EQ(outcomes.size(), 1u);
  for (const std::string& refused : outcomes[0].refused) std::cout << "refused: " << refused << '\n';
  for (const std::string& failure : Failures(outcomes)) ADD_FAILURE() << failure;
  if (!outcomes[0].left_out.empty()) GTEST_SKIP() << outcomes[0].left_out;
}

// Devices that this machine or build has not: seen in the list of tests, with the reason.
class Absent : public ::testing::TestWithParam<std::string> {};
std::vector<std::string> AbsentRows() {
  std::vector<std::string> names;
  for (const DeviceRow& row : Devices()) {
    if (row.available().instances.empty()) names.push_back(row.name);
  }
  return names;
}
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Absent);
INSTANTIATE_TEST_SUITE_P(Devices, Absent, ::testing::ValuesIn(AbsentRows()),
                         [](const auto& param_info) { return param_info.param; });
TEST_P(Absent, IsNotHere) {
  const DeviceAvailability found = DeviceNamed(GetParam()).available();
  ASSERT_FALSE(found.why_not.empty() || found.what_to_do.words.empty());
  GTEST_SKIP() << GetParam() << ": " << found.why_not << "; " << found.what_to_do.words;
}

}  // namespace
}  // namespace oxidized::conformance
