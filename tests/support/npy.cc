#include "support/npy.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/mapped_file.h"

namespace oxidized::test {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in the file");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;  // of the data, as numpy writes it

template <typename T>
constexpr std::string_view Descr() {
  if constexpr (std::is_same_v<T, float>) return "<f4";
  if constexpr (std::is_same_v<T, int32_t>) return "<i4";
  if constexpr (std::is_same_v<T, int64_t>) return "<i8";
}

// Reads the dictionary in the order of its text; numpy sorts its three keys, and others are not allowed.
class Header {
 public:
  Header(std::string file, std::string_view text) : file_(std::move(file)), text_(text) {
    Expect("{");
    Expect("'descr':");
    descr = Quoted();
    Expect(",");
    Expect("'fortran_order':");
    Expect("False");
    Expect(",");
    Expect("'shape':");
    Expect("(");
    while (!Accept(")")) {
      shape.push_back(Number());
      if (!Accept(",")) {
        Expect(")");
        break;
      }
    }
    Accept(",");
    Expect("}");
    SkipSpace();
    if (!text_.empty()) Fail(ErrorKind::kBadFile, "{}: text after the .npy header's dictionary", file_);
  }

  std::string_view descr;
  std::vector<int64_t> shape;

 private:
  void SkipSpace() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n')) text_.remove_prefix(1);
  }
  bool Accept(std::string_view token) {
    SkipSpace();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  void Expect(std::string_view token) {
    if (!Accept(token))
      Fail(ErrorKind::kBadFile, "{}: .npy header has '{}' where {} is expected", file_, text_.substr(0, 16),
           token);
  }
  std::string_view Quoted() {
    Expect("'");
    const size_t end = text_.find('\'');
    if (end == std::string_view::npos) Fail(ErrorKind::kBadFile, "{}: unclosed text in .npy header", file_);
    const std::string_view found = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return found;
  }
  int64_t Number() {
    SkipSpace();
    int64_t value = -1;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc() || value < 0)
      Fail(ErrorKind::kBadFile, "{}: .npy shape is not a list of sizes", file_);
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return value;
  }

  std::string file_;
  std::string_view text_;
};

template <typename T>
std::vector<T> Values(const std::string& file, std::span<const std::byte> data,
                      std::span<const int64_t> shape) {
  const auto held = static_cast<int64_t>(data.size() / sizeof(T));
  int64_t count = 1;
  bool fits = data.size() % sizeof(T) == 0;
  for (const int64_t size : shape) {
    // Never larger than the file, so the product cannot overflow.
    fits = fits && (size == 0 || count <= held / size);
    if (fits) count *= size;
  }
  if (!fits || count != held)
    Fail(ErrorKind::kBadFile, "{}: .npy data of {} bytes do not fit its shape", file, data.size());
  std::vector<T> values(static_cast<size_t>(count));
  if (!values.empty()) std::memcpy(values.data(), data.data(), data.size());
  return values;
}

template <typename T>
void Write(const std::filesystem::path& path, std::span<const T> values, std::span<const int64_t> shape) {
  int64_t count = 1;
  std::string sizes;
  for (const int64_t size : shape) {
    count *= size;
    sizes += fmt::format("{}, ", size);
  }
  OX_CHECK(count == static_cast<int64_t>(values.size()));
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", Descr<T>(), sizes);
  constexpr size_t kPrefix = 10;  // magic, version, u16 header length
  const size_t end = (kPrefix + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.append(end - kPrefix - header.size() - 1, ' ');
  header += '\n';

  std::ofstream out(path, std::ios::binary);
  out << kMagic << '\x01' << '\x00';
  out.put(static_cast<char>(header.size() & 0xff)).put(static_cast<char>(header.size() >> 8));
  out << header;
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  out.close();
  if (!out) Fail(ErrorKind::kBadFile, "{}: cannot be written", path.string());
}

}  // namespace

template <typename T>
const std::vector<T>& NpyArray::as() const {
  const auto* found = std::get_if<std::vector<T>>(&values);
  if (found == nullptr) Fail(ErrorKind::kBadFile, ".npy array is not of type {}", Descr<T>());
  return *found;
}
template const std::vector<float>& NpyArray::as<float>() const;
template const std::vector<int32_t>& NpyArray::as<int32_t>() const;
template const std::vector<int64_t>& NpyArray::as<int64_t>() const;

NpyArray ReadNpy(const std::filesystem::path& path) {
  const std::string file = path.string();
  const MappedFile mapped = MappedFile::Open(path);
  const std::span<const std::byte> bytes = mapped.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < kMagic.size() + 2)
    Fail(ErrorKind::kBadFile, "{}: no .npy file", file);
  const auto byte = [&](size_t i) { return static_cast<size_t>(bytes[i]); };
  const size_t version = byte(6);
  if (version < 1 || version > 3)
    Fail(ErrorKind::kBadFile, "{}: .npy version {}, expected 1 to 3", file, version);
  const size_t prefix = version == 1 ? 10 : 12;
  if (text.size() < prefix) Fail(ErrorKind::kBadFile, "{}: .npy header is cut", file);
  size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  if (length > text.size() - prefix) Fail(ErrorKind::kBadFile, "{}: .npy header is cut", file);

  Header header(file, text.substr(prefix, length));
  const std::span<const std::byte> data = bytes.subspan(prefix + length);
  NpyArray array{std::move(header.shape), {}};
  if (header.descr == Descr<float>()) {
    array.values = Values<float>(file, data, array.shape);
  } else if (header.descr == Descr<int32_t>()) {
    array.values = Values<int32_t>(file, data, array.shape);
  } else if (header.descr == Descr<int64_t>()) {
    array.values = Values<int64_t>(file, data, array.shape);
  } else {
    Fail(ErrorKind::kBadFile, "{}: .npy type {}, expected <f4, <i4 or <i8", file, header.descr);
  }
  return array;
}

void WriteNpy(const std::filesystem::path& path, std::span<const float> values,
              std::span<const int64_t> shape) {
  Write(path, values, shape);
}
void WriteNpy(const std::filesystem::path& path, std::span<const int32_t> values,
              std::span<const int64_t> shape) {
  Write(path, values, shape);
}
void WriteNpy(const std::filesystem::path& path, std::span<const int64_t> values,
              std::span<const int64_t> shape) {
  Write(path, values, shape);
}

}  // namespace oxidized::test
