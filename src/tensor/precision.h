// The types that a person may ask a device to compute in. One enumeration for the command line, the device
// rows and the executors; which of them a device has is its own business (devices/device.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace oxidized {

// Of the KV cache and of the inputs of dense and expert products; router, norms, softmax, rotation,
// accumulation and residual stay f32. kAuto: the type the dense weights are stored in, so that nothing of
// them is lost.
enum class Precision : uint8_t { kAuto, kF32, kBf16, kF16 };

// Inputs of products. kInt8 is lossy (docs/numerics.md): 8 bits and a scale for each 32 values, for experts
// in MXFP4 and dense weights in Q8_0; all else stays as the precision says.
enum class ActivationType : uint8_t { kAsPrecision, kInt8 };

const char* Name(Precision precision);  // "auto", "f32", "bf16", "f16"
std::optional<Precision> ParsePrecision(std::string_view name);

}  // namespace oxidized
