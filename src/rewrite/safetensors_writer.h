// Lays tensors out as a safetensors file (a plan for WriteFiles): the counterpart of safetensors.h. Used for
// Hugging Face shards and for OpenAI's original/ form.
#pragma once

#include <string>
#include <vector>

#include "rewrite/writer.h"

namespace oxidized {

// Tensors one behind the other in the order given; their `begin` is set.
PlannedFile PlanSafetensors(std::string file_name, std::vector<PlannedTensor> tensors);

// Sorted by name and cut into files of at most `shard_bytes` of tensors (a larger tensor has one to itself):
// model.safetensors, or shards numbered as the published ones, from 0, "of" the number of the last one.
std::vector<PlannedFile> PlanShards(std::vector<PlannedTensor> tensors, int64_t shard_bytes);

// model.safetensors.index.json of these files.
std::string SafetensorsIndexJson(const std::vector<PlannedFile>& files);

}  // namespace oxidized
