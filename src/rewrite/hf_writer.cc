#include "rewrite/hf_writer.h"

#include <utility>

#include "checkpoint/model_files.h"
#include "rewrite/safetensors_writer.h"

namespace oxidized {

int64_t WriteHfCheckpoint(const HfWriteRequest& request) {
  std::vector<PlannedTensor> tensors;
  for (const TensorSpec& spec : request.tensors) tensors.push_back({spec});
  WritePlan plan;
  plan.out = request.out;
  plan.files = PlanShards(std::move(tensors), request.shard_bytes);
  plan.text_files = request.text_files;
  if (plan.files.size() > 1) plan.text_files.emplace(kIndexFileName, SafetensorsIndexJson(plan.files));
  plan.copied_files = request.copied_files;
  plan.fill = request.fill;
  plan.threads = request.threads;
  if (request.progress) {
    plan.progress = [&](WritePhase, int64_t done, int64_t total) { request.progress(done, total); };
  }
  return WriteFiles(plan);
}

}  // namespace oxidized
