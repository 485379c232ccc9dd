// Writes a Hugging Face safetensors checkpoint of any size from a function that makes the bytes, never
// holding a whole tensor: used by synth, by tests for small hostile variants, and by converters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace oxidized {

struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;

  int64_t bytes() const;
};

struct HfWriteRequest {
  std::filesystem::path out;        // must not exist, or be an empty folder
  std::vector<TensorSpec> tensors;  // written in the order of their names
  // Fills bytes [offset, offset + out.size()) of a tensor; called from several threads, offsets multiples of
  // 4 MiB.
  std::function<void(const TensorSpec&, int64_t offset, std::span<std::byte> out)> fill;
  std::map<std::string, std::string> text_files;              // file name -> content (config.json, …)
  std::map<std::string, std::filesystem::path> copied_files;  // file name -> source
  int64_t shard_bytes = 5'000'000'000;                        // of tensors; more than one shard gets an index
  int threads = 2;
  std::function<void(int64_t done_bytes, int64_t total_bytes)>
      progress;  // may be empty; from one thread at a time
};

// All or nothing: writes into a folder beside `out` and renames it at the end. Throws Error: kBadFile when
// `out` is in the way or a write fails, kNoMemory when the disk has too little room (checked first). Returns
// the tensor bytes.
int64_t WriteHfCheckpoint(const HfWriteRequest& request);

}  // namespace oxidized
