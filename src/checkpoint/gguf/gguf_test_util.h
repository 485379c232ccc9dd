// A writer of small GGUF files for tests: correct ones, and pieces to put damaged ones together from.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace oxidized::testing {

inline constexpr uint32_t kGgufF32 = 0, kGgufF16 = 1, kGgufOllamaMxfp4 = 4, kGgufQ8_0 = 8, kGgufBf16 = 30,
                          kGgufMxfp4 = 39;

template <typename T>
std::string Raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}
inline std::string RawString(std::string_view text) { return Raw(uint64_t{text.size()}) + std::string(text); }

class GgufBuilder {
 public:
  // `bytes` behind the key and the value type: the value as stored.
  GgufBuilder& Value(std::string_view key, uint32_t type, const std::string& bytes) {
    values_.push_back(RawString(key) + Raw(type) + bytes);
    return *this;
  }
  GgufBuilder& U16(std::string_view key, uint16_t v) { return Value(key, 2, Raw(v)); }
  GgufBuilder& U32(std::string_view key, uint32_t v) { return Value(key, 4, Raw(v)); }
  GgufBuilder& F32(std::string_view key, float v) { return Value(key, 6, Raw(v)); }
  GgufBuilder& String(std::string_view key, std::string_view v) { return Value(key, 8, RawString(v)); }
  GgufBuilder& Array(std::string_view key, uint32_t type, uint64_t count, const std::string& elements) {
    return Value(key, 9, Raw(type) + Raw(count) + elements);
  }
  GgufBuilder& Strings(std::string_view key, const std::vector<std::string>& texts) {
    std::string elements;
    for (const std::string& text : texts) elements += RawString(text);
    return Array(key, 8, texts.size(), elements);
  }
  GgufBuilder& I32s(std::string_view key, const std::vector<int32_t>& numbers) {
    std::string elements;
    for (const int32_t number : numbers) elements += Raw(number);
    return Array(key, 5, numbers.size(), elements);
  }

  // `shape`: slowest dimension first.
  GgufBuilder& Tensor(std::string name, std::vector<int64_t> shape, uint32_t type, std::string bytes) {
    tensors_.push_back({std::move(name), std::move(shape), type, std::move(bytes)});
    return *this;
  }

  struct TensorSpec {
    std::string name;
    std::vector<int64_t> shape;
    uint32_t type;
    std::string bytes;
  };
  std::vector<TensorSpec>& tensors() { return tensors_; }
  std::vector<std::string>& values() { return values_; }

  uint32_t version = 3;
  size_t alignment = 32;  // the layout's; the key is the caller's business

  std::string Build() const {
    std::string file = "GGUF" + Raw(version) + Raw(uint64_t{tensors_.size()}) + Raw(uint64_t{values_.size()});
    for (const std::string& value : values_) file += value;
    size_t offset = 0;
    for (const TensorSpec& tensor : tensors_) {
      file += RawString(tensor.name) + Raw(static_cast<uint32_t>(tensor.shape.size()));
      for (size_t i = tensor.shape.size(); i > 0; --i) file += Raw(tensor.shape[i - 1]);
      file += Raw(tensor.type) + Raw(uint64_t{offset});
      offset += Padded(tensor.bytes.size());
    }
    for (const TensorSpec& tensor : tensors_) {
      file.resize(Padded(file.size()));
      file += tensor.bytes;
    }
    file.resize(Padded(file.size()));
    return file;
  }

 private:
  size_t Padded(size_t bytes) const { return (bytes + alignment - 1) / alignment * alignment; }

  std::vector<std::string> values_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace oxidized::testing
