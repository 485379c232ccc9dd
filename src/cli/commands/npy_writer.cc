#include "cli/commands/npy_writer.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"
#include "cli/commands/output_file.h"

namespace oxidized::cli {

NpyWriter::NpyWriter(const std::filesystem::path& path, int64_t rows, int64_t cols)
    : path_(ReplacedFile(path)),
      partial_(path_.string() + fmt::format(".{}.partial", getpid())),
      rows_left_(rows),
      cols_(cols) {
  file_ = std::fopen(partial_.c_str(), "wb");
  if (file_ == nullptr)
    Fail(ErrorKind::kBadFile, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  // Magic, version and length take 10 bytes; the data begin at a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  const auto length = static_cast<uint16_t>(header.size());
  const char start[10] = {'\x93',
                          'N',
                          'U',
                          'M',
                          'P',
                          'Y',
                          1,
                          0,
                          static_cast<char>(length & 0xFF),
                          static_cast<char>(length >> 8)};
  std::fwrite(start, 1, sizeof start, file_);
  std::fwrite(header.data(), 1, header.size(), file_);
}

NpyWriter::~NpyWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::error_code ignored;
  std::filesystem::remove(partial_, ignored);
}

void NpyWriter::Row(std::span<const float> values) {
  OX_CHECK(static_cast<int64_t>(values.size()) == cols_ && rows_left_ > 0);
  --rows_left_;
  if (std::fwrite(values.data(), sizeof(float), values.size(), file_) != values.size()) {
    Fail(ErrorKind::kBadFile, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
  }
}

void NpyWriter::Finish() {
  OX_CHECK(rows_left_ == 0);
  const bool written = std::fflush(file_) == 0 && std::ferror(file_) == 0;
  const int reason = errno;
  std::fclose(file_);
  file_ = nullptr;
  std::error_code error;
  if (written) std::filesystem::rename(partial_, path_, error);
  if (!written || error) {
    std::error_code ignored;
    std::filesystem::remove(partial_, ignored);
    Fail(ErrorKind::kBadFile, "{}: cannot be written: {}", path_.string(),
         error ? error.message() : std::strerror(reason));
  }
}

}  // namespace oxidized::cli
