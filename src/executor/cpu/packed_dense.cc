#include "executor/cpu/packed_dense.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace oxidized {
namespace {

constexpr double kMostShare = 0.9;  // of the stored size, or packing is not worth its memory
constexpr const char* kOwner = "dense weights in 12 bits";

template <typename T>
AlignedBuffer<T> Buffer(int64_t size) {
  AlignedBuffer<T> buffer(kOwner, MemoryClass::kWeights, static_cast<size_t>(size));
  AdviseHugePages(buffer.data(), static_cast<size_t>(size) * sizeof(T));
  return buffer;
}

bool CanPack(const MatrixView& m) { return m.dtype == DType::kBF16 && m.cols % kPackedBlockValues == 0; }

}  // namespace

std::vector<const MatrixView*> PackedDense::Candidates(const WeightsView& weights) {
  std::vector<const MatrixView*> matrices;
  for (const LayerWeights& layer : weights.layers) {
    for (const MatrixView* m : {&layer.q, &layer.k, &layer.v, &layer.o}) matrices.push_back(m);
  }
  matrices.push_back(&weights.unembedding);
  std::erase_if(matrices, [](const MatrixView* m) { return !CanPack(*m); });
  return matrices;
}

PackedDense::PackedDense(const WeightsView& weights, ThreadTeam& team, const Progress& progress,
                         const Replaced& replaced) {
  const std::vector<const MatrixView*> matrices = Candidates(weights);
  int64_t done = 0, total = 0;
  for (const MatrixView* m : matrices) total += m->bytes();
  for (const MatrixView* m : matrices) {
    Packed packed = Pack(*m, team);
    done += m->bytes();
    if (progress) progress(done, total);
    if (static_cast<double>(packed.bytes) > kMostShare * static_cast<double>(m->bytes())) continue;
    stored_bytes_ += m->bytes();
    packed_bytes_ += packed.bytes;
    packed_.emplace(m->data, std::move(packed));
    if (replaced) replaced(*m);
  }
}

PackedDense::Packed PackedDense::Pack(const MatrixView& m, ThreadTeam& team) {
  const auto workers = static_cast<size_t>(team.size());
  std::vector<std::array<int64_t, 256>> counts(workers);
  for (auto& of_worker : counts) of_worker.fill(0);
  team.Run([&](int worker, int size) {
    const Share share = ShareOf(m.rows, 1, worker, size);
    CountHighBytes(m.data + share.begin * m.row_bytes(), (share.end - share.begin) * m.cols,
                   counts[static_cast<size_t>(worker)]);
  });
  for (size_t w = 1; w < workers; ++w) {
    for (size_t b = 0; b < counts[0].size(); ++b) counts[0][b] += counts[w][b];
  }

  const int64_t blocks = m.cols / kPackedBlockValues, words = PackedEscapeWords(m.cols);
  Packed packed;
  packed.view.high_bytes = CommonHighBytes(counts[0]);
  packed.blocks = Buffer<std::byte>(m.rows * blocks * kPackedBlockBytes);
  packed.escaped = Buffer<uint64_t>(m.rows * words);
  packed.first_escape = Buffer<uint32_t>(m.rows);
  std::vector<std::vector<std::byte>> aside(workers);  // in order of rows, as workers' shares are
  team.Run([&](int worker, int size) {
    const Share share = ShareOf(m.rows, 1, worker, size);
    std::vector<std::byte>& mine = aside[static_cast<size_t>(worker)];
    for (int64_t r = share.begin; r < share.end; ++r) {
      packed.first_escape[static_cast<size_t>(r)] =
          static_cast<uint32_t>(mine.size() / (kPackedBlockValues * 2));  // among this worker's, so far
      PackBf16Row(m.data + r * m.row_bytes(), m.cols, packed.view.high_bytes,
                  packed.blocks.data() + r * blocks * kPackedBlockBytes, packed.escaped.data() + r * words,
                  mine);
    }
  });
  int64_t before = 0;
  for (const auto& part : aside) before += static_cast<int64_t>(part.size());
  packed.escapes = Buffer<std::byte>(before);
  before = 0;
  for (size_t w = 0; w < workers; ++w) {
    const Share share = ShareOf(m.rows, 1, static_cast<int>(w), team.size());
    for (int64_t r = share.begin; r < share.end; ++r) {
      packed.first_escape[static_cast<size_t>(r)] += static_cast<uint32_t>(before / (kPackedBlockValues * 2));
    }
    if (!aside[w].empty()) std::memcpy(packed.escapes.data() + before, aside[w].data(), aside[w].size());
    before += static_cast<int64_t>(aside[w].size());
  }

  packed.view.blocks = packed.blocks.data();
  packed.view.escaped = packed.escaped.data();
  packed.view.first_escape = packed.first_escape.data();
  packed.view.escapes = packed.escapes.data();
  packed.bytes = m.rows * (blocks * kPackedBlockBytes + words * 8 + 4) + before;
  return packed;
}

const PackedBf16View* PackedDense::Find(const MatrixView& m) const {
  const auto found = packed_.find(m.data);
  return found != packed_.end() ? &found->second.view : nullptr;
}

int64_t PackedDense::ReadBytes(const MatrixView& m) const {
  const auto found = packed_.find(m.data);
  return found != packed_.end() ? found->second.bytes : m.bytes();
}

}  // namespace oxidized
