#include "cli/commands/npy_writer.h"

#include <fmt/core.h>

#include <string>

#include "base/error.h"

namespace oxidized::cli {

NpyWriter::NpyWriter(const OutputName& name, int64_t rows, int64_t cols)
    : file_(name), rows_left_(rows), cols_(cols) {
  std::string header = fmt::format("{{'shape': ({}, {}), {}}}", rows, cols, kNpySign);
  // Magic, version and length take 10 bytes; the data begin at a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  const std::string start = {'\x93',
                             'N',
                             'U',
                             'M',
                             'P',
                             'Y',
                             1,
                             0,
                             static_cast<char>(header.size() & 0xFF),
                             static_cast<char>(header.size() >> 8)};
  file_.Write(start + header);
}

void NpyWriter::Row(std::span<const float> values) {
  OX_CHECK(static_cast<int64_t>(values.size()) == cols_ && rows_left_ > 0);
  --rows_left_;
  file_.Write({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

void NpyWriter::Finish() {
  OX_CHECK(rows_left_ == 0);
  file_.Publish();
}

}  // namespace oxidized::cli
