// What the tests of this folder share: a temporary folder, a tiny checkpoint that tests damage, and a check
// of Errors.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "rewrite/hf_layout.h"
#include "rewrite/hf_writer.h"
#include "rewrite/synth.h"

namespace oxidized::testing {

namespace fs = std::filesystem;

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (fs::temp_directory_path() / "oxidized-checkpoint-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TempFolder() { fs::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline void WriteFile(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// `action` must throw Error of `kind` with one line that contains every part.
inline void ExpectError(ErrorKind kind, const std::vector<std::string>& parts,
                        const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown, expected an error about " << parts.front();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), kind) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const std::string& part : parts)
      EXPECT_NE(message.find(part), std::string::npos) << message << "\n lacks " << part;
  }
}

// The smallest model of the true form: 2 layers, M 32, 2 experts.
inline ModelConfig MiniConfig() {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_size = 32;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.num_experts = 2;
  config.experts_per_token = 1;
  config.expert_width = 64;
  config.vocab_size = 96;
  config.sliding_window = 4;
  config.layers = {LayerKind::kSliding, LayerKind::kFull};
  config.eos_token_ids = {7, 9};
  config.pad_token_id = 9;
  return config;
}

// A correct request for MiniConfig; tests change one thing before writing it.
inline HfWriteRequest MiniRequest(const fs::path& out) {
  const ModelConfig config = MiniConfig();
  HfWriteRequest request;
  request.out = out;
  request.tensors = PublishedTensors(config);
  request.fill = [](const TensorSpec& tensor, int64_t offset, std::span<std::byte> bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::byte>((static_cast<size_t>(offset) + i) * 7 + tensor.name.size());
    }
  };
  request.text_files = {{"config.json", PublishedConfigJson(config)},
                        {"generation_config.json", PublishedGenerationConfigJson(config, 5)}};
  return request;
}

inline TensorSpec& Spec(HfWriteRequest& request, const std::string& name) {
  for (TensorSpec& tensor : request.tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::runtime_error("no tensor " + name);
}

}  // namespace oxidized::testing
