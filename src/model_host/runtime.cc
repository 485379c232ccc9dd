#include "model_host/runtime.h"

#include <chrono>
#include <optional>
#include <utility>

#include "base/error.h"

namespace oxidized {

std::unique_ptr<Runtime> Runtime::Load(const RuntimeOptions& options) {
  std::optional<Checkpoint> metadata;  // opened only where a device is planned on before it is chosen
  const ChosenDevice chosen = ChooseDevice(options.choice, options.device, [&]() -> const Checkpoint& {
    if (!metadata) {
      metadata =
          OpenCheckpoint(ResolveModelPath(options.model_path, options.download), {.metadata_only = true});
    }
    return *metadata;
  });
  auto model = LoadedModel::Load({.model_path = options.model_path,
                                  .tokenizer_path = options.tokenizer_path,
                                  .text = options.text,
                                  .decode_to = chosen.row->decoded_to(chosen.options),
                                  .yarn_truncate = options.yarn_truncate,
                                  .download = options.download});
  return std::unique_ptr<Runtime>(new Runtime(std::move(model), chosen, options));
}

std::unique_ptr<Runtime> Runtime::Open(std::shared_ptr<const LoadedModel> model,
                                       const RuntimeOptions& options) {
  const ChosenDevice chosen = ChooseDevice(options.choice, options.device,
                                           [&]() -> const Checkpoint& { return model->checkpoint(); });
  if (model->checkpoint().decoded.tensors > 0 &&
      model->decoded_to() != chosen.row->decoded_to(chosen.options)) {
    Fail(ErrorKind::kUsage, "{}: its tensors were decoded to {}, {} wants {}",
         model->checkpoint().path.string(), Name(model->decoded_to()), chosen.row->name,
         Name(chosen.row->decoded_to(chosen.options)));
  }
  return std::unique_ptr<Runtime>(new Runtime(std::move(model), chosen, options));
}

Runtime::Runtime(std::shared_ptr<const LoadedModel> model, const ChosenDevice& chosen,
                 const RuntimeOptions& options)
    : model_(std::move(model)) {
  const auto start = std::chrono::steady_clock::now();
  if (options.check) options.check(model_->config());
  // The checkpoint lives as long as the model that it is a part of.
  device_ =
      chosen.row->open(std::shared_ptr<const Checkpoint>(model_, &model_->checkpoint()), chosen.options);
  auto engine = std::make_unique<Engine>(
      device_->executor(),
      EngineOptions{.chunk_tokens = options.chunk_tokens, .speculation = options.speculation});
  engine->AfterSteps(kCleanupSteps, [device = device_.get()] { device->CleanUp(); });
  loop_ = std::make_unique<EngineLoop>(std::move(engine));
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  load_ms_ = model_->opening_ms() + elapsed.count();
}

}  // namespace oxidized
