// Types of stored tensors: the element types of safetensors, by the names used there, and the block types of
// GGUF, by ggml's names. A block type stores a row as blocks of `elements` values in `bytes` bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace oxidized {

enum class DType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF4,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kC64,
  kGgmlMxfp4,  // scale byte, then 16 bytes, low nibbles elements 0..15, high nibbles 16..31
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kIq4Nl,
  kQ4K,
  kQ5K,
  kQ6K,
};

struct StoredBlock {
  int elements;
  int bytes;
};

int Bits(DType dtype);             // of one element; only of element types
bool IsBlockType(DType dtype);     // values share scales: only whole blocks can be read
StoredBlock BlockOf(DType dtype);  // of element types too: sub-byte ones in the fewest whole bytes
const char* Name(DType dtype);     // "BF16", "Q8_0"
std::optional<DType> ParseDType(std::string_view name);  // element types; nullopt: unknown to this program

}  // namespace oxidized
