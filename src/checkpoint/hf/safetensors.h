// The header of one safetensors file: names, types, shapes and byte ranges, every one of them checked.
//
// A function on bytes: it opens nothing, keeps no reference to its input, and is the entry point of the fuzz
// target. Format and checks: huggingface/safetensors tensor.rs, plus caps on counts, lengths and nesting.
// Values are never looked at. Called by model_files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace oxidized {

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kU8;
  std::vector<int64_t> shape;  // empty: a scalar
  int64_t begin = 0;           // bytes from the start of the file; may be unaligned
  int64_t end = 0;
};

inline constexpr int64_t kMaxSafetensorsHeaderBytes = 100'000'000;  // the format's own limit
inline constexpr size_t kMaxSafetensorsTensors = size_t{1} << 18;
inline constexpr size_t kMaxTensorNameBytes = 1024;
inline constexpr size_t kMaxTensorRank = 8;

// The tensors in the order of their bytes, which they cover without hole, overlap or rest up to the end of
// `file`. Throws Error(kBadFile), `name` standing for the file.
std::vector<SafetensorsEntry> ParseSafetensors(std::span<const std::byte> file, const std::string& name);

}  // namespace oxidized
