#include "model/packed_dense.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"

namespace oxidized {
namespace {

constexpr double kMostShare = 0.9;  // of the stored size, or packing is not worth its memory
constexpr const char* kOwner = "dense weights in 12 bits";

AlignedBuffer<std::byte> Buffer(int64_t size) {
  AlignedBuffer<std::byte> buffer(kOwner, MemoryClass::kWeights, static_cast<size_t>(size));
  AdviseHugePages(buffer.data(), static_cast<size_t>(size));
  return buffer;
}

constexpr const char* kNames[] = {"q", "k", "v", "o"};

}  // namespace

std::string NameOfDense(int32_t index, size_t num_layers) {
  const auto layer = static_cast<size_t>(index) / std::size(kNames);
  if (layer >= num_layers) return "the unembedding";
  return fmt::format("layer {}'s {}", layer, kNames[static_cast<size_t>(index) % std::size(kNames)]);
}

std::vector<DenseMatrix> PackedDense::Candidates(const WeightsView& weights) {
  std::vector<DenseMatrix> matrices;
  int32_t index = 0;
  const auto consider = [&](const MatrixView& m) {
    if (m.dtype == DType::kBF16 && m.cols % kPackedBlockValues == 0) matrices.push_back({index, &m});
    ++index;
  };
  for (const LayerWeights& layer : weights.layers) {
    for (const MatrixView* m : {&layer.q, &layer.k, &layer.v, &layer.o}) consider(*m);
  }
  consider(weights.unembedding);
  return matrices;
}

int64_t PackedDense::LeastBytes(const MatrixView& m) { return LayoutOfPackedBf16(m.rows, m.cols).bytes; }

bool PackedDense::Pays(const MatrixView& m, int64_t packed_bytes) {
  return static_cast<double>(packed_bytes) <= kMostShare * static_cast<double>(m.bytes());
}

void PackedDense::RequireCandidates(const WeightsView& weights) {
  if (Candidates(weights).empty()) {
    throw Error(ErrorKind::kUsage,
                {.setting = Setting::kPackWeights,
                 .found = "none of this model's dense weights is in bf16, so there is nothing to pack",
                 .remedies = {{Setting::kPackWeights, "leave out {}"}}});
  }
}

PackedDense::PackedDense(const WeightsView& weights, ThreadTeam& team, const Progress& progress) {
  const std::vector<DenseMatrix> matrices = Candidates(weights);
  int64_t done = 0, total = 0;
  for (const DenseMatrix& m : matrices) total += m.matrix->bytes();
  for (const auto& [index, m] : matrices) {
    if (Pays(*m, LeastBytes(*m))) {
      Packed packed = Pack(*m, team);
      if (Pays(*m, packed.bytes)) Add(*m, std::move(packed));
    }
    done += m->bytes();
    if (progress) progress(done, total);
  }
}

void PackedDense::Add(const MatrixView& stored, Packed packed) {
  stored_bytes_ += stored.bytes();
  packed_bytes_ += packed.bytes;
  packed_.emplace(stored.data, std::move(packed));
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
  const std::array<uint8_t, 16> high_bytes = CommonHighBytes(counts[0]);
  const PackedBf16Layout layout = LayoutOfPackedBf16(m.rows, m.cols);
  Packed packed;
  packed.data = Buffer(layout.bytes);
  auto* escaped = reinterpret_cast<uint64_t*>(packed.data.data());
  auto* first_escape = reinterpret_cast<uint32_t*>(packed.data.data() + layout.first_escape);
  std::vector<std::vector<std::byte>> aside(workers);  // in order of rows, as workers' shares are
  team.Run([&](int worker, int size) {
    const Share share = ShareOf(m.rows, 1, worker, size);
    std::vector<std::byte>& mine = aside[static_cast<size_t>(worker)];
    for (int64_t r = share.begin; r < share.end; ++r) {
      first_escape[r] = static_cast<uint32_t>(mine.size() / kPackedEscapeBytes);  // among this worker's
      PackBf16Row(m.data + r * m.row_bytes(), m.cols, high_bytes,
                  packed.data.data() + layout.blocks + r * blocks * kPackedBlockBytes, escaped + r * words,
                  mine);
    }
  });
  int64_t before = 0;
  for (const auto& part : aside) before += static_cast<int64_t>(part.size());
  packed.escapes = Buffer(before);
  packed.num_escapes = before / kPackedEscapeBytes;
  packed.bytes = layout.bytes + before;
  before = 0;
  for (size_t w = 0; w < workers; ++w) {
    const Share share = ShareOf(m.rows, 1, static_cast<int>(w), team.size());
    for (int64_t r = share.begin; r < share.end; ++r)
      first_escape[r] += static_cast<uint32_t>(before / kPackedEscapeBytes);
    if (!aside[w].empty()) std::memcpy(packed.escapes.data() + before, aside[w].data(), aside[w].size());
    before += static_cast<int64_t>(aside[w].size());
  }
  packed.view = ViewOfPackedBf16(packed.data.data(), packed.escapes.data(), m.rows, m.cols, high_bytes);
  return packed;
}

const PackedDense::Packed* PackedDense::Of(const MatrixView& m) const {
  const auto found = packed_.find(m.data);
  return found != packed_.end() ? &found->second : nullptr;
}

const PackedBf16View* PackedDense::Find(const MatrixView& m) const {
  const Packed* packed = Of(m);
  return packed != nullptr ? &packed->view : nullptr;
}

int64_t PackedDense::ReadBytes(const MatrixView& m) const {
  const Packed* packed = Of(m);
  return packed != nullptr ? packed->bytes : m.bytes();
}

std::vector<std::span<const std::byte>> UnreadBesidePacked(const WeightsView& weights,
                                                           const PackedDense& packed) {
  std::vector<std::span<const std::byte>> unread;
  for (const auto& [index, m] : PackedDense::Candidates(weights)) {
    if (packed.Of(*m) != nullptr && m->data != weights.embedding.data)
      unread.emplace_back(m->data, static_cast<size_t>(m->bytes()));
  }
  return unread;
}

}  // namespace oxidized
