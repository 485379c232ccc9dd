#include "checkpoint/gguf/gguf.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/message_text.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

constexpr const char* kTypeNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                      "bool", "string", "array", "u64", "i64", "f64"};
constexpr int64_t kTypeBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};  // 0: of no fixed size

// ggml's tensor types by number (ggml.h). Without a dtype: known, but not read here.
struct TensorType {
  uint32_t id;
  const char* name;
  std::optional<DType> dtype;
  ExpertLayout experts = ExpertLayout::kRows;
};
const TensorType kTensorTypes[] = {
    {0, "F32", DType::kF32},
    {1, "F16", DType::kF16},
    {2, "Q4_0", DType::kQ4_0},
    {3, "Q4_1", DType::kQ4_1},
    // Q4_2 until 2023, then free; Ollama's own MXFP4.
    {4, "MXFP4 (Ollama)", DType::kGgmlMxfp4, ExpertLayout::kOllamaMxfp4},
    {5, "Q4_3", {}},
    {6, "Q5_0", DType::kQ5_0},
    {7, "Q5_1", DType::kQ5_1},
    {8, "Q8_0", DType::kQ8_0},
    {9, "Q8_1", {}},
    {10, "Q2_K", {}},
    {11, "Q3_K", {}},
    {12, "Q4_K", DType::kQ4K},
    {13, "Q5_K", DType::kQ5K},
    {14, "Q6_K", DType::kQ6K},
    {15, "Q8_K", {}},
    {16, "IQ2_XXS", {}},
    {17, "IQ2_XS", {}},
    {18, "IQ3_XXS", {}},
    {19, "IQ1_S", {}},
    {20, "IQ4_NL", DType::kIq4Nl},
    {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},
    {23, "IQ4_XS", {}},
    {24, "I8", DType::kI8},
    {25, "I16", DType::kI16},
    {26, "I32", DType::kI32},
    {27, "I64", DType::kI64},
    {28, "F64", DType::kF64},
    {29, "IQ1_M", {}},
    {30, "BF16", DType::kBF16},
    {31, "Q4_0_4_4", {}},
    {32, "Q4_0_4_8", {}},
    {33, "Q4_0_8_8", {}},
    {34, "TQ1_0", {}},
    {35, "TQ2_0", {}},
    {36, "IQ4_NL_4_4", {}},
    {37, "IQ4_NL_4_8", {}},
    {38, "IQ4_NL_8_8", {}},
    {39, "MXFP4", DType::kGgmlMxfp4, ExpertLayout::kGgmlMxfp4},
    {40, "NVFP4", {}},
    {41, "Q1_0", {}},
    {42, "Q2_0", {}},
};

class Parser {
 public:
  Parser(std::span<const std::byte> file, const std::string& name) : file_(file), name_(name) {}

  Gguf Parse() {
    const std::string_view magic = Text(kGgufMagic.size(), "the magic");
    if (magic != kGgufMagic) Bad("begins with {}, expected \"GGUF\"", Quoted(magic));
    ParseVersion();
    const auto num_tensors = Fixed<int64_t>("the tensor count");
    const auto num_values = Fixed<int64_t>("the metadata count");
    ParseValues(num_values);
    ParseTensors(num_tensors);
    PlaceTensors();
    return std::move(result_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void Bad(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(ErrorKind::kBadFile, name_ + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  int64_t Remaining() const { return static_cast<int64_t>(file_.size()) - at_; }

  std::span<const std::byte> Take(int64_t bytes, const char* what) {
    if (bytes > Remaining()) {
      Bad("{} at byte {} needs {}, but the file ends {} later", what, at_, Counted(bytes, "byte"),
          Counted(Remaining(), "byte"));
    }
    const auto taken = file_.subspan(static_cast<size_t>(at_), static_cast<size_t>(bytes));
    at_ += bytes;
    return taken;
  }

  template <typename T>
  T Fixed(const char* what) {
    return LoadUnaligned<T>(Take(sizeof(T), what).data());
  }

  std::string_view Text(uint64_t bytes, const char* what) {
    if (bytes > static_cast<uint64_t>(Remaining())) {
      Bad("{} at byte {} is {} long, but the file ends {} later", what, at_, Counted(bytes, "byte"),
          Counted(Remaining(), "byte"));
    }
    const auto taken = Take(static_cast<int64_t>(bytes), what);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }

  std::string_view String(const char* what) { return Text(Fixed<uint64_t>(what), what); }

  std::string_view Name(const char* what, size_t longest) {
    const std::string_view text = String(what);
    if (text.empty() || text.size() > longest) {
      Bad("{} of {} bytes, expected 1 to {}", what, text.size(), longest);
    }
    if (!simdjson::validate_utf8(text.data(), text.size())) Bad("{} {} is not UTF-8", what, Quoted(text));
    return text;
  }

  void ParseVersion() {
    result_.version = Fixed<uint32_t>("the version");
    if (result_.version == 2 || result_.version == 3) return;
    if (result_.version != 0 && (result_.version & 0xFFFF) == 0) {
      Fail(ErrorKind::kUnsupported,
           "{}: a byte-swapped GGUF file, written for a big-endian machine; this program reads little-endian "
           "ones",
           name_);
    }
    Fail(ErrorKind::kUnsupported, "{}: GGUF version {}, expected 2 or 3{}", name_, result_.version,
         result_.version == 1 ? ": convert it again with a current tool" : "");
  }

  void ParseValues(int64_t count) {
    if (count < 0 || count > static_cast<int64_t>(kMaxGgufValues)) {
      Bad("claims {} metadata values, expected 0 to {}", count, kMaxGgufValues);
    }
    constexpr size_t kLongestKey = 65535;  // docs/gguf.md
    for (int64_t i = 0; i < count; ++i) {
      const std::string_view key = Name("a metadata key", kLongestKey);
      result_.values.emplace_back(key, ParseValue(key));
    }
    std::sort(result_.values.begin(), result_.values.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto twice = std::adjacent_find(result_.values.begin(), result_.values.end(),
                                          [](const auto& a, const auto& b) { return a.first == b.first; });
    if (twice != result_.values.end()) Bad("the metadata key {} appears twice", Quoted(twice->first));
  }

  GgufType ParseType(std::string_view key) {
    const auto type = Fixed<uint32_t>("a value type");
    if (type >= std::size(kTypeNames)) Bad("{} has value type {}, expected 0 to 12", Quoted(key), type);
    return static_cast<GgufType>(type);
  }

  GgufValue ParseValue(std::string_view key) {
    GgufValue value;
    value.type = ParseType(key);
    if (value.type == GgufType::kArray) {
      value.is_array = true;
      value.type = ParseType(key);
      if (value.type == GgufType::kArray)
        Bad("{} is an array of arrays, expected plain elements", Quoted(key));
      const auto count = Fixed<uint64_t>("an array's count");
      const int64_t smallest = value.type == GgufType::kString ? 8 : kTypeBytes[static_cast<int>(value.type)];
      if (count > static_cast<uint64_t>(Remaining() / smallest)) {
        Bad("{} claims {} of {}, but the file ends {} later", Quoted(key), Counted(count, "element"),
            oxidized::Name(value.type), Counted(Remaining(), "byte"));
      }
      value.count = static_cast<int64_t>(count);
    }
    const int64_t begin = at_;
    if (value.type == GgufType::kString) {
      for (int64_t i = 0; i < value.count; ++i) String("a string");
    } else {
      Take(value.count * kTypeBytes[static_cast<int>(value.type)], "a value");
    }
    value.bytes = file_.subspan(static_cast<size_t>(begin), static_cast<size_t>(at_ - begin));
    if (value.type == GgufType::kBool) {
      for (const std::byte byte : value.bytes) {
        if (byte > std::byte{1})
          Bad("{} holds a bool of {}, expected 0 or 1", Quoted(key), static_cast<int>(byte));
      }
    }
    return value;
  }

  void ParseTensors(int64_t count) {
    if (count < 0 || count > static_cast<int64_t>(kMaxGgufTensors)) {
      Bad("claims {} tensors, expected 0 to {}", count, kMaxGgufTensors);
    }
    std::vector<std::string_view> names;
    for (int64_t i = 0; i < count; ++i) {
      result_.tensors.push_back(ParseTensor());
      names.push_back(result_.tensors.back().name);
    }
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) Bad("tensor {} appears twice", Quoted(*twice));
  }

  // `end` is left to be the tensor's size, `begin` its offset, until all are known.
  GgufTensor ParseTensor() {
    constexpr size_t kLongestName = 63;  // GGML_MAX_NAME less its NUL
    constexpr uint32_t kMostDimensions = 4;
    GgufTensor tensor;
    tensor.name = Name("a tensor name", kLongestName);
    const auto rank = Fixed<uint32_t>("a tensor's rank");
    if (rank > kMostDimensions) {
      Bad("tensor {} has {} dimensions, expected at most {}", Quoted(tensor.name), rank, kMostDimensions);
    }
    for (uint32_t i = 0; i < rank; ++i) tensor.shape.push_back(Fixed<int64_t>("a tensor's dimension"));
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    const auto type = Fixed<uint32_t>("a tensor's type");
    if (type >= std::size(kTensorTypes)) {
      Bad("tensor {} has type {}, expected at most {}", Quoted(tensor.name), type,
          std::size(kTensorTypes) - 1);
    }
    const TensorType& row = kTensorTypes[type];
    if (!row.dtype) {
      Fail(ErrorKind::kUnsupported,
           "{}: tensor {} is {}, which this program does not read: take a file with MXFP4, Q8_0, Q6_K, Q5_K, "
           "Q5_1, Q5_0, Q4_K, Q4_1, Q4_0, IQ4_NL, BF16, F16 or F32",
           name_, Quoted(tensor.name), row.name);
    }
    tensor.dtype = *row.dtype;
    tensor.experts = row.experts;
    tensor.end = SizeOf(tensor);
    const auto offset = Fixed<uint64_t>("a tensor's offset");
    if (offset > file_.size()) {
      Bad("tensor {} lies at offset {}, beyond the file's {} bytes", Quoted(tensor.name), offset,
          file_.size());
    }
    tensor.begin = static_cast<int64_t>(offset);
    return tensor;
  }

  int64_t SizeOf(const GgufTensor& tensor) const {
    int64_t elements = 1;
    bool fits = true;
    for (const int64_t dimension : tensor.shape) {
      fits = fits && dimension >= 0 && !__builtin_mul_overflow(elements, dimension, &elements);
    }
    const StoredBlock block = BlockOf(tensor.dtype);
    int64_t bytes = 0;
    fits = fits && !__builtin_mul_overflow(elements / block.elements, int64_t{block.bytes}, &bytes);
    if (!fits) Bad("tensor {}: shape {} overflows", Quoted(tensor.name), ShapeText(tensor.shape));
    const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (row % block.elements != 0) {
      Bad("tensor {}: rows of {} are not a whole number of {} blocks of {}", Quoted(tensor.name),
          Counted(row, "element"), oxidized::Name(tensor.dtype), block.elements);
    }
    return bytes;
  }

  int64_t Alignment() const {
    const GgufValue* value = result_.Find("general.alignment");
    if (value == nullptr) return 32;
    if (value->is_array || value->type != GgufType::kU32) Bad("general.alignment is not a u32");
    const auto alignment = LoadUnaligned<uint32_t>(value->bytes.data());
    if (!std::has_single_bit(alignment)) Bad("general.alignment is {}, expected a power of two", alignment);
    return alignment;
  }

  // Tensors follow each other in the order of their descriptions, each padded to the alignment.
  void PlaceTensors() {
    const int64_t alignment = Alignment();
    const auto padded = [&](int64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; };
    const auto file_bytes = static_cast<int64_t>(file_.size());
    const int64_t data_begin = padded(at_);
    int64_t next = 0;  // stays below file_bytes + alignment: no sum overflows
    for (GgufTensor& tensor : result_.tensors) {
      if (tensor.begin != next) {
        Bad("tensor {} lies at offset {}, expected {}, where the tensor before it ends", Quoted(tensor.name),
            tensor.begin, next);
      }
      const int64_t bytes = tensor.end;
      tensor.begin += data_begin;
      if (tensor.begin > file_bytes || bytes > file_bytes - tensor.begin) {
        Bad("tensor {} needs {} from byte {} on, but the file has {} in all", Quoted(tensor.name),
            Counted(bytes, "byte"), tensor.begin, file_bytes);
      }
      tensor.end = tensor.begin + bytes;
      next += padded(bytes);
    }
  }

  const std::span<const std::byte> file_;
  const std::string& name_;
  int64_t at_ = 0;
  Gguf result_;
};

}  // namespace

const char* Name(GgufType type) { return kTypeNames[static_cast<size_t>(type)]; }

bool GgufStrings::Next(std::string_view& text) {
  if (left_.empty()) return false;
  const auto bytes = static_cast<size_t>(LoadUnaligned<uint64_t>(left_.data()));
  text = {reinterpret_cast<const char*>(left_.data()) + 8, bytes};
  left_ = left_.subspan(8 + bytes);
  return true;
}

std::optional<int64_t> GgufInteger(const GgufValue& value, int64_t i) {
  const std::byte* at = value.bytes.data();
  switch (value.type) {
    case GgufType::kU8:
      return LoadUnaligned<uint8_t>(at + i);
    case GgufType::kI8:
      return LoadUnaligned<int8_t>(at + i);
    case GgufType::kU16:
      return LoadUnaligned<uint16_t>(at + 2 * i);
    case GgufType::kI16:
      return LoadUnaligned<int16_t>(at + 2 * i);
    case GgufType::kU32:
      return LoadUnaligned<uint32_t>(at + 4 * i);
    case GgufType::kI32:
      return LoadUnaligned<int32_t>(at + 4 * i);
    case GgufType::kI64:
      return LoadUnaligned<int64_t>(at + 8 * i);
    case GgufType::kU64: {
      const auto number = LoadUnaligned<uint64_t>(at + 8 * i);
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(number);
    }
    default:
      return std::nullopt;
  }
}

const GgufValue* Gguf::Find(std::string_view key) const {
  const auto found = std::lower_bound(values.begin(), values.end(), key,
                                      [](const auto& value, std::string_view k) { return value.first < k; });
  return found == values.end() || found->first != key ? nullptr : &found->second;
}

Gguf ParseGguf(std::span<const std::byte> file, const std::string& name) {
  return Parser(file, name).Parse();
}

}  // namespace oxidized
