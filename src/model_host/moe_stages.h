// The stages of a model's mixture of experts by themselves, as the executor of these options would run them.
#pragma once

#include <memory>

#include "checkpoint/checkpoint.h"
#include "executor/moe_stages.h"
#include "model_host/runtime.h"

namespace oxidized {

// For the CPU executor. `checkpoint` must outlive the stages. Every expert is taken from its mapping,
// whatever memory the options allow for experts.
std::unique_ptr<MoeStages> MakeMoeStages(const RuntimeOptions& options, const Checkpoint& checkpoint,
                                         int64_t max_tokens);

}  // namespace oxidized
