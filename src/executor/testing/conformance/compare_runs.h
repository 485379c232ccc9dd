// What the numbers of a run are held to: the reference's run of the same steps, tap by tap; and the model's
// definition, stage by stage, each stage computed anew from what the device itself showed before it. The
// second holds a device of any precision tightly, since neither rounding nor a near-tie of the router
// accumulates. docs/numerics.md derives the tolerances.
#pragma once

#include <string>

#include "executor/testing/conformance/driver.h"
#include "executor/testing/conformance/models.h"

namespace oxidized::conformance {

// Of the range of the reference's values of one tap and layer: f32 end to end.
inline constexpr double kEndToEnd = 1e-4;
// One stage in f32, given its input: eps * sqrt(2880) = 3e-6 for a product; the rest for other orders.
inline constexpr double kStage = 1e-5;

// Every tap and every row of logits, and the same positions of both. Sequences without logits have none
// compared.
void ExpectCloseTo(const Sequence& actual, const Sequence& reference, double tolerance, Findings& findings);

// What is recomputed of the large products.
struct StageScope {
  int64_t columns = 0;   // outputs of a dense product, spread over it, first and last included; 0: all
  int64_t moe_rows = 0;  // rows of a layer whose mixture is recomputed; 0: all
};
void ExpectStages(const Model& model, const ExecutorInfo& info, const Sequence& sequence, StageScope scope,
                  Findings& findings);

// Mean KL(softmax(reference) || softmax(actual)) over the common positions, nats a token.
double MeanKl(const Sequence& reference, const Sequence& actual);

}  // namespace oxidized::conformance
