// Any bytes as a file of packed dense weights: either an Error on one line, or matrices of which every row
// can be unpacked.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "checkpoint/packed_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace oxidized;
  std::vector<uint64_t> aligned((size + 7) / 8);  // as a mapping is
  if (size > 0) std::memcpy(aligned.data(), data, size);
  const std::span file(reinterpret_cast<const std::byte*>(aligned.data()), size);
  try {
    const PackedFileHeader header = ParsePackedFile(file, "f");
    for (const PackedFileMatrix& m : header.matrices) {
      const std::byte* at = file.data() + m.begin;
      const PackedBf16View view =
          ViewOfPackedBf16(at, at + LayoutOfPackedBf16(m.rows, m.cols).bytes, m.rows, m.cols, m.high_bytes);
      std::vector<std::byte> row(static_cast<size_t>(m.cols) * 2);
      for (int64_t r = 0; r < m.rows; ++r) UnpackBf16Row(view, r, m.cols, row.data());
    }
    static ThreadTeam alone(1);
    CheckPackedValues(file, header, "f", alone, {});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kBadFile || std::strchr(error.what(), '\n') != nullptr) std::abort();
  }
  return 0;
}
