// The devices of this machine as subjects of the conformance suite: every row of devices/, every CPU tier, in
// every precision. A new device needs nothing here.
#pragma once

#include <vector>

#include "executor/testing/conformance/conformance.h"

namespace oxidized::conformance {

std::vector<Subject> Subjects();

// What this build and machine can afford: brief where code is emulated or sanitised; full where
// OXIDIZED_CONFORMANCE=full asks for it.
Effort EffortHere();

}  // namespace oxidized::conformance
