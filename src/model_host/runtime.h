// A model that runs: a loaded model, a device opened for it, and an engine on that. Commands and servers see
// this; which devices there are is the business of devices/.
#pragma once

#include <functional>
#include <memory>

#include "devices/device.h"
#include "engine/engine_loop.h"
#include "model_host/loaded_model.h"
#include "model_host/model_paths.h"

namespace oxidized {

struct RuntimeOptions {
  std::filesystem::path model_path;  // LoadOptions has these
  std::filesystem::path tokenizer_path;
  TextParts text = TextParts::kChat;
  bool yarn_truncate = false;
  hub::PullWatch download;

  DeviceChoice choice;       // which device,
  DeviceOptions device;      // and what of it
  int32_t chunk_tokens = 0;  // 0: as many as a step holds
  SpeculationOptions speculation = {};
  // Called once the model's shape is known, before a device reads weights; may throw.
  std::function<void(const ModelConfig& config)> check = {};
};

class Runtime {
 public:
  // Loads the model for the device that `options` choose, and opens that. Throws Error (kBadFile, kNoMemory,
  // kUsage, kUnsupported, kNetwork), Interrupted.
  static std::unique_ptr<Runtime> Load(const RuntimeOptions& options);
  // The same on a model that may have other users: nothing of it changes. It must have been loaded with the
  // device's decoded_to where tensors of it were decoded; Error(kUsage) else.
  static std::unique_ptr<Runtime> Open(std::shared_ptr<const LoadedModel> model,
                                       const RuntimeOptions& options);

  const std::shared_ptr<const LoadedModel>& model() const { return model_; }
  OpenDevice& device() { return *device_; }
  const OpenDevice& device() const { return *device_; }
  Executor& executor() { return device_->executor(); }
  EngineLoop& loop() { return *loop_; }
  const EngineLoop& loop() const { return *loop_; }
  double load_ms() const { return load_ms_; }  // opening checkpoint and device, reading ahead included

  const Checkpoint& checkpoint() const { return model_->checkpoint(); }
  const Tokenizer& tokenizer() const { return model_->tokenizer(); }
  const HarmonyTokens& harmony() const { return model_->harmony(); }
  std::shared_ptr<const TokenMask> sampling_mask() const { return model_->sampling_mask(); }

 private:
  Runtime(std::shared_ptr<const LoadedModel> model, const ChosenDevice& chosen,
          const RuntimeOptions& options);

  std::shared_ptr<const LoadedModel> model_;
  std::unique_ptr<OpenDevice> device_;
  double load_ms_ = 0.0;
  std::unique_ptr<EngineLoop> loop_;  // ends first: requests hold on to the tokenizer and the executor
};

}  // namespace oxidized
