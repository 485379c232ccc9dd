// The models of the conformance suite, all random and made in memory: narrow ones in every stored form, and
// ones of the published widths, whose experts are windows of one stretch of random values, each beginning
// elsewhere, so that 128 experts take the memory of one.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "executor/executor.h"
#include "executor/limits.h"
#include "executor/testing/conformance/driver.h"
#include "model/weights.h"

namespace oxidized::conformance {

struct Model {
  std::string name;
  ModelConfig config;
  WeightsView weights;
  std::shared_ptr<void> storage;
  // Whether a device may refuse it: another form than the published one, or sizes that no published model
  // has.
  bool optional = true;
};

// The first is in the published form, with heads of 64 in groups of 8, 4 of 32 experts a token, sliding and
// full layers: what checks use that are not about numbers. `brief`: the first few.
std::span<const Model> NarrowModels(bool brief);
const Model& MainModel();

// 2880 wide, 64 query and 8 KV heads of 64, experts of 2880 values. Kept while the process lives.
const Model& WideModel(int32_t experts);  // 32: three layers and a short window; 128: two layers
const Model& FullVocabularyModel();       // 32 experts, two layers, 201,088 ids

// A copy of `model` whose weights may be changed: dense matrices and vectors have memory of their own.
std::shared_ptr<Model> Damageable(const Model& model);

}  // namespace oxidized::conformance
