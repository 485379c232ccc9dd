// The mixture of experts of one layer, stage by stage, outside a forward pass: for measuring what each costs,
// with inputs and choices that a test or benchmark makes up. Computes what the executor's own steps compute
// with the same kernels; attention, residual and the rest of a layer are not here.
#pragma once

#include <cstdint>
#include <span>

#include "executor/step_batch.h"
#include "moe/routing_policy.h"

namespace oxidized {

// Calls go in the order SetInput; Router, Choose (or SetLogits, Choose; or SetChoices); Dispatch; GateUp;
// Down; Combine. Each stage may be repeated. The costs are those of the call: microseconds, bytes that had to
// be read, operations of products.
class MoeStages {
 public:
  virtual ~MoeStages() = default;

  // Rows as after a layer's norm: [T, M], T at most max_tokens().
  virtual void SetInput(std::span<const float> rows) = 0;
  virtual int64_t max_tokens() const = 0;
  // Whether products take bf16 activations (else f32).
  virtual bool multiplies_bf16() const = 0;

  virtual StageCost Router(int32_t layer) = 0;                    // the router's logits of every row
  virtual void SetLogits(std::span<const float> logits) = 0;      // [T, E] of a layer, instead
  virtual StageCost Choose(const RoutingPolicy& policy) = 0;      // experts and weights from the logits
  virtual void SetChoices(std::span<const int32_t> experts) = 0;  // [T]: one expert a row, weight 1
  virtual StageCost Dispatch() = 0;                               // rows grouped by expert
  virtual StageCost GateUp(int32_t layer) = 0;
  virtual StageCost Down(int32_t layer) = 0;
  virtual StageCost Combine() = 0;  // each row's outputs by weight, in rank order

  virtual int64_t experts_used() const = 0;           // of the last Dispatch
  virtual int64_t busiest_rows() const = 0;           // choices of the expert that has most
  virtual std::span<const float> output() const = 0;  // of Combine: [T, M]
};

}  // namespace oxidized
