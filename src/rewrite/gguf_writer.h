// Lays tensors out as a GGUF file of version 3 (a plan for WriteFiles), and states a model's configuration
// and vocabulary in llama.cpp's keys: the counterpart of gguf.h and gguf_config.h. Called by convert and
// synth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf/gguf.h"
#include "model/model_config.h"
#include "rewrite/writer.h"
#include "tokenizer/vocabulary.h"

namespace oxidized {

// Key-value pairs in the order added.
class GgufMetadata {
 public:
  void AddString(std::string_view key, std::string_view text);
  void AddU32(std::string_view key, uint32_t value);
  void AddF32(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddStrings(std::string_view key, const std::vector<std::string>& texts);
  void AddI32s(std::string_view key, const std::vector<int32_t>& values);
  void AddBools(std::string_view key, const std::vector<bool>& values);

  int64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void Key(std::string_view key, GgufType type);
  void Array(std::string_view key, GgufType type, size_t count);
  int64_t count_ = 0;
  std::string bytes_;
};

// general.* and gpt-oss.*. Throws Error(kUnsupported) for what the format has no key for.
void AddGgufConfig(GgufMetadata& metadata, const ModelConfig& config, const std::string& name, DType dense,
                   DType experts);

// tokenizer.ggml.*: a token for every row of the embedding, so that llama.cpp takes the file. Throws
// Error(kUnsupported) for a vocabulary that is not split as o200k is: the format names the rule, and has no
// name for others.
void AddGgufVocabulary(GgufMetadata& metadata, const ModelConfig& config, const Vocabulary& vocabulary);
// The same of a model without one.
void AddGgufNoVocabulary(GgufMetadata& metadata, const ModelConfig& config);

// Tensors in the order given; their `begin` is set.
PlannedFile PlanGguf(const GgufMetadata& metadata, std::vector<PlannedTensor> tensors);

}  // namespace oxidized
