// Element types of stored tensors, with the names that safetensors uses for them.
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
};

int Bits(DType dtype);
const char* Name(DType dtype);                           // "BF16"
std::optional<DType> ParseDType(std::string_view name);  // nullopt: unknown to this program

}  // namespace oxidized
