// Arrays in numpy's .npy format, as much of it as goldens need: float32, int32 and int64, little-endian, C
// order, format versions 1 to 3. Called by tests and benches; numpy writes what is read here and the reverse.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <variant>
#include <vector>

namespace oxidized::test {

struct NpyArray {
  std::vector<int64_t> shape;  // empty: one scalar
  std::variant<std::vector<float>, std::vector<int32_t>, std::vector<int64_t>> values;

  // The values as T. Throws Error(kBadFile) when they are of another type.
  template <typename T>
  const std::vector<T>& as() const;
};

// Throws Error(kBadFile) naming the file: absent, no .npy, other type or order, or not exactly as long as its
// header says.
NpyArray ReadNpy(const std::filesystem::path& path);

// `values` [product of shape]. Throws Error(kBadFile) when the file cannot be written.
void WriteNpy(const std::filesystem::path& path, std::span<const float> values,
              std::span<const int64_t> shape);
void WriteNpy(const std::filesystem::path& path, std::span<const int32_t> values,
              std::span<const int64_t> shape);
void WriteNpy(const std::filesystem::path& path, std::span<const int64_t> values,
              std::span<const int64_t> shape);

}  // namespace oxidized::test
