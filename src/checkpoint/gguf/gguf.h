// The header of one GGUF file (versions 2 and 3): metadata and tensors, every length, count and offset
// checked.
//
// A function on bytes: it opens nothing and is the entry point of the fuzz target. Names, strings and arrays
// stay views into those bytes, because a header holds half a million strings of vocabulary that most callers
// never read. Knows nothing of gpt-oss; values of tensors are never looked at. Format and checks: ggml's
// docs/gguf.md and gguf.cpp (MIT). Called by gguf_files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/dtype.h"

namespace oxidized {

enum class GgufType : uint8_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};
const char* Name(GgufType type);  // "u32", "string"

struct GgufValue {
  GgufType type = GgufType::kU8;  // of the value, or of the elements of an array
  bool is_array = false;
  int64_t count = 1;                 // of elements
  std::span<const std::byte> bytes;  // the elements as stored; a string is 8 bytes of length, then its text
};

// Element i, below count, of a value of any integer type; nullopt for other types and for what 64 signed bits
// cannot hold.
std::optional<int64_t> GgufInteger(const GgufValue& value, int64_t i);

// Walks the elements of a string or an array of strings.
class GgufStrings {
 public:
  explicit GgufStrings(const GgufValue& value) : left_(value.bytes) {}
  bool Next(std::string_view& text);  // false: there are no more

 private:
  std::span<const std::byte> left_;
};

struct GgufTensor {
  std::string_view name;
  DType dtype = DType::kF32;
  bool ollama_mxfp4 = false;   // kGgmlMxfp4 under Ollama's type 4: nibbles in the order of safetensors
  std::vector<int64_t> shape;  // slowest dimension first, as everywhere here; the file has it the other way
  int64_t begin = 0;           // bytes from the start of the file
  int64_t end = 0;
};

struct Gguf {
  uint32_t version = 0;
  std::vector<std::pair<std::string_view, GgufValue>> values;  // by key
  std::vector<GgufTensor> tensors;                             // in the order of their bytes

  const GgufValue* Find(std::string_view key) const;  // nullptr: absent
};

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr size_t kMaxGgufTensors = size_t{1} << 18;
inline constexpr size_t kMaxGgufValues = size_t{1} << 16;

// The result refers to `file`. Throws Error(kBadFile) for damage, Error(kUnsupported) for other versions and
// for types of tensors that this program does not read, named as ggml names them; `name` stands for the file.
Gguf ParseGguf(std::span<const std::byte> file, const std::string& name);

}  // namespace oxidized
