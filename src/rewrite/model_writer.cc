#include "rewrite/model_writer.h"

#include <utility>

#include "base/error.h"
#include "checkpoint/model_files.h"
#include "rewrite/gguf_writer.h"
#include "rewrite/hf_layout.h"
#include "rewrite/original_layout.h"
#include "rewrite/safetensors_writer.h"

namespace oxidized {
namespace {

constexpr int64_t kShardBytes = 5'000'000'000;  // as the published shards

std::vector<PlannedTensor> Planned(const std::vector<LayoutTensor>& layout) {
  std::vector<PlannedTensor> tensors;
  for (const LayoutTensor& tensor : layout) tensors.push_back({tensor.spec, 0, tensor.row_bytes});
  return tensors;
}

void PlanFiles(const ModelConfig& config, const ModelOutput& output, const std::vector<LayoutTensor>& layout,
               WritePlan& plan) {
  const Tokenizer* tokenizer = output.tokenizer;
  const int32_t bos = tokenizer == nullptr ? -1 : tokenizer->SpecialId("<|startoftext|>").value_or(-1);
  switch (output.format) {
    case CheckpointFormat::kHuggingFace:
      plan.files = PlanShards(Planned(layout), kShardBytes);
      if (plan.files.size() > 1) plan.text_files.emplace(kIndexFileName, SafetensorsIndexJson(plan.files));
      plan.text_files["config.json"] = PublishedConfigJson(config);
      plan.text_files["generation_config.json"] = PublishedGenerationConfigJson(config, bos);
      break;
    case CheckpointFormat::kOriginal:
      plan.files = PlanShards(Planned(layout), INT64_MAX);
      plan.text_files["config.json"] = OriginalConfigJson(config);
      plan.text_files["dtypes.json"] = OriginalDtypesJson(layout);
      break;
    case CheckpointFormat::kGguf: {
      GgufMetadata metadata;
      AddGgufConfig(metadata, config, output.out.stem().string(), output.types.dense, output.types.experts);
      if (tokenizer != nullptr) {
        AddGgufVocabulary(metadata, config, tokenizer->vocabulary());
      } else {
        AddGgufNoVocabulary(metadata, config);
      }
      if (!output.chat_template.empty()) metadata.AddString("tokenizer.chat_template", output.chat_template);
      plan.single_file = true;
      plan.files = {PlanGguf(metadata, Planned(layout))};
    }
  }
}

}  // namespace

ModelWritten WriteModel(const WeightSource& source, const ModelOutput& output) {
  TensorEncoder encoder(source, LayoutOf(source.config(), output.format, output.types));
  WritePlan plan;
  plan.out = output.out;
  plan.text_files = output.text_files;
  plan.copied_files = output.copied_files;
  PlanFiles(source.config(), output, encoder.layout(), plan);
  plan.fill = [&](const TensorSpec& tensor, int64_t offset, std::span<std::byte> out) {
    encoder.Fill(tensor.name, offset, out);
  };
  plan.threads = output.threads;
  plan.read_back = output.read_back;
  plan.progress = output.progress;
  plan.free_bytes = output.free_bytes;
  plan.before_read_back = output.before_read_back;
  const int64_t bytes = WriteFiles(plan);
  return {bytes, encoder.dense_error(), encoder.expert_error()};
}

}  // namespace oxidized
