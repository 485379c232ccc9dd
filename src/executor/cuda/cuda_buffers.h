// What an executor keeps on the card beside the weights: KV memory, slots, and values of one step, of the
// largest step from the start. Two sets grow when a step asks for more: those that go by experts a token, and
// rows of logits.
#pragma once

#include <cstdint>
#include <vector>

#include "executor/executor.h"
#include "kernels/cuda/runtime/runtime.h"
#include "kernels/cuda/step_args.h"
#include "kv/kv_layout.h"

namespace oxidized::cuda {

int64_t KvBlockBytes(const ModelConfig& config, const KvGroup& group, Arithmetic arithmetic);
int64_t KvBytesOf(const ModelConfig& config, const ExecutorInfo& info, Arithmetic arithmetic);

class DeviceBuffers {
 public:
  // What they would take: values of the largest step with the model's own experts a token, and logits of one
  // row for each slot.
  static int64_t BytesOfValues(const ModelConfig& config, const ExecutorInfo& info);

  // `blocks`: of a step's grid.
  DeviceBuffers(const ModelConfig& config, const ExecutorInfo& info, Arithmetic arithmetic, int blocks,
                Stream& stream);

  // Fills the pointers of a step that has `stride` experts a token, and rows of logits and samples; grows
  // what is too small, behind what the stream still runs.
  void Fit(int32_t stride, int32_t rows, int32_t samples, StepArgs& args);

  const std::vector<KvGroupArgs>& kv() const { return kv_args_; }
  int32_t* counts_of(int32_t slot) const { return fixed_args_.counts + int64_t{slot} * vocab_size_; }
  int32_t* last_token_of(int32_t slot) const { return fixed_args_.last_token + slot; }
  int32_t* reused_tokens() const { return reused_tokens_; }  // [max_context]

 private:
  static int64_t LayOutFixed(const ModelConfig& config, const ExecutorInfo& info, uint8_t* base,
                             StepArgs& args, int32_t** reused_tokens);
  static int64_t LayOutRanked(const ModelConfig& config, const ExecutorInfo& info, int32_t stride,
                              uint8_t* base, StepArgs& args);
  static int64_t LayOutSampled(const ModelConfig& config, int blocks, int32_t rows, int32_t samples,
                               uint8_t* base, StepArgs& args);

  const ModelConfig& config_;
  const ExecutorInfo& info_;
  Stream& stream_;
  const int64_t vocab_size_;
  const int blocks_;
  DeviceMemory kv_, fixed_, ranked_, sampled_;
  std::vector<KvGroupArgs> kv_args_;
  StepArgs fixed_args_ = {};
  int32_t* reused_tokens_ = nullptr;
  int32_t stride_ = 0, rows_ = 0, samples_ = 0;
};

}  // namespace oxidized::cuda
