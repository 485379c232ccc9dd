#include "checkpoint/decoding.h"

#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/printable.h"
#include "base/process.h"
#include "parallel/cpu_topology.h"
#include "parallel/thread_team.h"
#include "tensor/float16.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

void StoreRow(const std::vector<float>& row, DType to, std::byte* out) {
  if (to == DType::kF32) {
    std::memcpy(out, row.data(), row.size() * sizeof(float));
    return;
  }
  for (const float value : row) {
    const uint16_t bits = FloatToBf16(value);
    std::memcpy(out, &bits, sizeof bits);
    out += sizeof bits;
  }
}

}  // namespace

const std::byte* TensorDecoding::Plan(DType from, const std::byte* data, int64_t rows, int64_t cols,
                                      DType to) {
  OX_CHECK(to == DType::kF32 || to == DType::kBF16);
  const int64_t bytes = StoredBytes(to, rows * cols);
  result_.owner.emplace_back("decoded tensors", MemoryClass::kWeights, static_cast<size_t>(bytes));
  result_.tensors += 1;
  result_.stored_bytes += StoredBytes(from, rows * cols);
  result_.bytes += bytes;
  result_.sources.emplace_back(data, static_cast<size_t>(StoredBytes(from, rows * cols)));
  planned_.push_back({from, to, data, rows, cols, result_.owner.back().data()});
  return planned_.back().out;
}

void TensorDecoding::Run() {
  if (planned_.empty()) return;
  const int64_t available = AvailableMemoryBytes();
  if (available > 0 && result_.bytes > available) {
    Fail(ErrorKind::kNoMemory,
         "{} in types that must be decoded, which needs {} bytes of memory; {} are "
         "available. A file with MXFP4 experts and Q8_0 or BF16 otherwise needs none",
         Counted(result_.tensors, "tensor"), result_.bytes, available);
  }
  const auto start = std::chrono::steady_clock::now();
  ThreadTeam team(DetectCpuTopology().UsableCpus());
  team.Run([&](int worker, int workers) {
    std::vector<float> row;
    for (const Matrix& m : planned_) {
      const Share share = ShareOf(m.rows, 1, worker, workers);
      row.resize(static_cast<size_t>(m.cols));
      for (int64_t r = share.begin; r < share.end; ++r) {
        DecodeStored(m.from, m.data + r * StoredBytes(m.from, m.cols), m.cols, row.data());
        StoreRow(row, m.to, m.out + r * StoredBytes(m.to, m.cols));
      }
    }
  });
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  result_.ms = elapsed.count();
}

}  // namespace oxidized
