// Writes a Hugging Face safetensors checkpoint of any tensors: used by synth and by tests for small hostile
// variants. The mechanics are writer.h's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "rewrite/writer.h"

namespace oxidized {

struct HfWriteRequest {
  std::filesystem::path out;                                  // must not exist, or be an empty folder
  std::vector<TensorSpec> tensors;                            // written in the order of their names
  FillTensor fill;                                            // offsets are multiples of 4 MiB
  std::map<std::string, std::string> text_files;              // file name -> content (config.json, …)
  std::map<std::string, std::filesystem::path> copied_files;  // file name -> source
  int64_t shard_bytes = 5'000'000'000;                        // of tensors; more than one shard gets an index
  int threads = 2;
  std::function<void(int64_t done_bytes, int64_t total_bytes)>
      progress;  // may be empty; from one thread at a time
};

// Throws like WriteFiles. Returns the tensor bytes.
int64_t WriteHfCheckpoint(const HfWriteRequest& request);

}  // namespace oxidized
