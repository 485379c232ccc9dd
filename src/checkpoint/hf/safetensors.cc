#include "checkpoint/hf/safetensors.h"

#include <simdjson.h>

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/message_text.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr uint64_t kLargestExactInteger = uint64_t{1} << 53;  // what every JSON reader agrees on

// simdjson's on-demand form: it shows repeated keys, which a tree of maps would hide, and never recurses.
class HeaderParser {
 public:
  HeaderParser(const std::string& file, int64_t data_begin, int64_t data_bytes)
      : file_(file), data_begin_(data_begin), data_bytes_(data_bytes) {}

  std::vector<SafetensorsEntry> Parse(std::string_view text) {
    const simdjson::padded_string padded(text);
    ondemand::parser parser;
    ondemand::document document = parser.iterate(padded);
    bool metadata_seen = false;
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key();
      ondemand::value value = field.value();
      if (key == "__metadata__") {
        if (metadata_seen) Bad("the key \"__metadata__\" appears twice");
        metadata_seen = true;
        CheckMetadata(value);
        continue;
      }
      if (entries_.size() == kMaxSafetensorsTensors) Bad("more than {} tensors", kMaxSafetensorsTensors);
      if (key.size() > kMaxTensorNameBytes) {
        Bad("a tensor name of {} bytes, expected at most {}", key.size(), kMaxTensorNameBytes);
      }
      entries_.push_back(ParseEntry(key, value));
    }
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
      Bad("something follows the header's JSON object");
    CheckNamesDiffer();
    CheckBytesAreCovered();
    return std::move(entries_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void Bad(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(ErrorKind::kBadFile, file_ + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  void CheckMetadata(ondemand::value& value) const {
    for (auto field : value.get_object()) {
      const std::string_view key = field.unescaped_key();
      if (field.value().get_string().error()) Bad("__metadata__ entry {} is not a string", Quoted(key));
    }
  }

  int64_t Integer(std::string_view tensor, simdjson::simdjson_result<ondemand::value> value,
                  const char* what) const {
    uint64_t number = 0;
    if (value.get_uint64().get(number) || number > kLargestExactInteger) {
      Bad("tensor {}: {} holds something that is not an integer from 0 to 2^53", Quoted(tensor), what);
    }
    return static_cast<int64_t>(number);
  }

  SafetensorsEntry ParseEntry(std::string_view name, ondemand::value& value) const {
    SafetensorsEntry entry;
    entry.name = name;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    const auto once = [&](bool& seen, std::string_view key) {
      if (seen) Bad("tensor {}: the key {} appears twice", Quoted(name), Quoted(key));
      seen = true;
    };
    ondemand::object fields;
    if (value.get_object().get(fields))
      Bad("tensor {}: described by something that is not an object", Quoted(name));
    for (auto field : fields) {
      const std::string_view key = field.unescaped_key();
      if (key == "dtype") {
        once(has_dtype, key);
        const std::string_view text = field.value().get_string();
        const std::optional<DType> dtype = ParseDType(text);
        if (!dtype) Bad("tensor {}: unknown dtype {}", Quoted(name), Quoted(text));
        entry.dtype = *dtype;
      } else if (key == "shape") {
        once(has_shape, key);
        for (auto dimension : field.value().get_array()) {
          if (entry.shape.size() == kMaxTensorRank)
            Bad("tensor {}: more than {} dimensions", Quoted(name), kMaxTensorRank);
          entry.shape.push_back(Integer(name, dimension, "shape"));
        }
      } else if (key == "data_offsets") {
        once(has_offsets, key);
        int64_t offsets[2] = {};
        size_t count = 0;
        for (auto offset : field.value().get_array()) {
          if (count == 2) Bad("tensor {}: data_offsets has more than 2 numbers", Quoted(name));
          offsets[count++] = Integer(name, offset, "data_offsets");
        }
        if (count != 2)
          Bad("tensor {}: data_offsets has {}, expected 2", Quoted(name), Counted(count, "number"));
        entry.begin = offsets[0];
        entry.end = offsets[1];
      } else {
        Bad("tensor {}: unknown key {}", Quoted(name), Quoted(key));
      }
    }
    if (!has_dtype || !has_shape || !has_offsets) {
      Bad("tensor {}: lacks {}", Quoted(name), !has_dtype ? "dtype" : !has_shape ? "shape" : "data_offsets");
    }
    CheckSize(entry);
    return entry;
  }

  void CheckSize(const SafetensorsEntry& entry) const {
    int64_t bits = Bits(entry.dtype);
    bool fits = true;
    for (const int64_t dimension : entry.shape)
      fits = fits && !__builtin_mul_overflow(bits, dimension, &bits);
    if (!fits) Bad("tensor {}: shape {} overflows", Quoted(entry.name), ShapeText(entry.shape));
    if (bits % 8 != 0) {
      Bad("tensor {}: shape {} of {} is not a whole number of bytes", Quoted(entry.name),
          ShapeText(entry.shape), Name(entry.dtype));
    }
    if (entry.begin > entry.end || entry.end > data_bytes_) {
      Bad("tensor {}: data_offsets [{}, {}] lie outside the {} data bytes that the file has",
          Quoted(entry.name), entry.begin, entry.end, data_bytes_);
    }
    if (entry.end - entry.begin != bits / 8) {
      Bad("tensor {}: data_offsets span {}, but shape {} of {} needs {}", Quoted(entry.name),
          Counted(entry.end - entry.begin, "byte"), ShapeText(entry.shape), Name(entry.dtype), bits / 8);
    }
  }

  void CheckNamesDiffer() const {
    std::vector<std::string_view> names;
    names.reserve(entries_.size());
    for (const SafetensorsEntry& entry : entries_) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) Bad("tensor {} appears twice", Quoted(*twice));
  }

  void CheckBytesAreCovered() {
    std::sort(entries_.begin(), entries_.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    int64_t expected = 0;
    for (SafetensorsEntry& entry : entries_) {
      if (entry.begin != expected) {
        Bad("tensor {}: {} data byte {}, expected it to begin at {}", Quoted(entry.name),
            entry.begin > expected ? "leaves a hole before" : "overlaps another tensor at", entry.begin,
            expected);
      }
      expected = entry.end;
      entry.begin += data_begin_;
      entry.end += data_begin_;
    }
    if (expected != data_bytes_)
      Bad("{} after the last tensor, where the file should end", Counted(data_bytes_ - expected, "byte"));
  }

  const std::string& file_;
  const int64_t data_begin_;
  const int64_t data_bytes_;
  std::vector<SafetensorsEntry> entries_;
};

}  // namespace

std::vector<SafetensorsEntry> ParseSafetensors(std::span<const std::byte> file, const std::string& name) {
  constexpr size_t kLengthBytes = 8;
  if (file.size() < kLengthBytes) {
    Fail(ErrorKind::kBadFile, "{}: {} long, too short for a safetensors file", name,
         Counted(file.size(), "byte"));
  }
  const auto header_bytes = LoadUnaligned<uint64_t>(file.data());
  if (header_bytes > static_cast<uint64_t>(kMaxSafetensorsHeaderBytes)) {
    Fail(ErrorKind::kBadFile,
         "{}: claims a header of {} bytes, expected at most {}: not a safetensors file or damaged", name,
         header_bytes, kMaxSafetensorsHeaderBytes);
  }
  if (header_bytes > file.size() - kLengthBytes) {
    Fail(ErrorKind::kBadFile, "{}: truncated: claims a header of {}, but has {} behind its length", name,
         Counted(header_bytes, "byte"), Counted(file.size() - kLengthBytes, "byte"));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, header_bytes);
  if (!text.starts_with('{')) Fail(ErrorKind::kBadFile, "{}: the header does not begin with '{{'", name);
  const size_t data_begin = kLengthBytes + header_bytes;
  try {
    return HeaderParser(name, static_cast<int64_t>(data_begin),
                        static_cast<int64_t>(file.size() - data_begin))
        .Parse(text);
  } catch (const simdjson::simdjson_error& error) {
    Fail(ErrorKind::kBadFile, "{}: the header is not valid JSON of the expected form{}", name,
         error.error() == simdjson::UTF8_ERROR ? ": it is not UTF-8" : "");
  }
}

}  // namespace oxidized
