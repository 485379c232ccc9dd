#include "experts/expert_file_map.h"

#include <algorithm>
#include <array>

#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

constexpr int kPartsOfView = 5;

struct Part {
  const std::byte* data = nullptr;
  int64_t bytes = 0;
};

Part Of(const VectorView& v) { return {v.data, v.size == 0 ? 0 : StoredBytes(v.dtype, v.size)}; }

std::array<Part, kPartsOfView> PartsOf(const ExpertView& e) {
  const int64_t values = e.value_bytes();
  return {Part{e.values, values},
          {e.scales, e.scales == nullptr ? 0 : e.rows * (e.cols / kMxfp4BlockElements)},
          Of(e.bias),
          {e.up_values, e.up_values == nullptr ? 0 : values},
          Of(e.up_bias)};
}

int64_t Down(int64_t n) { return n / kReadAlignment * kReadAlignment; }
int64_t Up(int64_t n) { return Down(n + kReadAlignment - 1); }

}  // namespace

ExpertFileMap::ExpertFileMap(const WeightsView& weights, std::span<const MappedFile> files)
    : weights_(weights), num_layers_(static_cast<int32_t>(weights.layers.size())) {
  for (const MappedFile& file : files) {
    paths_.push_back(file.path());
    sizes_.push_back(static_cast<int64_t>(file.bytes().size()));
  }
  if (num_layers_ > 0) num_experts_ = static_cast<int32_t>(weights.layers.front().gate_up.size());
  for (const LayerWeights& layer : weights.layers) {
    for (size_t e = 0; e < layer.gate_up.size(); ++e) {
      Place& place = places_.emplace_back();
      Locate(layer.gate_up[e], layer.down[e], files, place);
      if (place.pieces.empty()) continue;
      ++num_stored_;
      stored_bytes_ += layer.gate_up[e].bytes() + layer.down[e].bytes();
      const FilePiece& last = place.pieces.back();
      slot_bytes_ = std::max(slot_bytes_, last.slot_offset + last.bytes);
    }
  }
}

void ExpertFileMap::Locate(const ExpertView& gate_up, const ExpertView& down,
                           std::span<const MappedFile> files, Place& place) {
  struct Found {
    int part = 0;
    int32_t file = 0;
    int64_t begin = 0, end = 0;
  };
  std::vector<Found> found;
  const std::array<Part, kPartsOfView> views[] = {PartsOf(gate_up), PartsOf(down)};
  for (int i = 0; i < kParts; ++i) {
    const Part& part = views[i / kPartsOfView][static_cast<size_t>(i % kPartsOfView)];
    if (part.bytes == 0) continue;
    const auto file = std::find_if(files.begin(), files.end(),
                                   [&](const MappedFile& f) { return f.Maps(part.data, part.bytes); });
    if (file == files.end()) return;
    const int64_t begin = part.data - file->bytes().data();
    found.push_back({i, static_cast<int32_t>(file - files.begin()), begin, begin + part.bytes});
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.file != b.file ? a.file < b.file : a.begin < b.begin;
  });
  int64_t used = 0;  // of the slot
  for (const Found& f : found) {
    stored_parts_.push_back(files[static_cast<size_t>(f.file)].bytes().subspan(
        static_cast<size_t>(f.begin), static_cast<size_t>(f.end - f.begin)));
    const int64_t size = sizes_[static_cast<size_t>(f.file)];
    const bool shared = !place.pieces.empty() && place.pieces.back().file == f.file &&
                        Down(f.begin) <= place.pieces.back().offset + place.pieces.back().bytes;
    if (!shared) place.pieces.push_back({f.file, Down(f.begin), 0, 0, used});
    FilePiece& piece = place.pieces.back();
    piece.bytes = std::max(piece.bytes, Up(f.end) - piece.offset);
    piece.needed = std::min(piece.bytes, size - piece.offset);
    used = piece.slot_offset + piece.bytes;
    place.slot_offset[f.part] = piece.slot_offset + (f.begin - piece.offset);
  }
}

void ExpertFileMap::AppendReads(int32_t layer, int32_t expert, uint64_t tag, std::byte* slot,
                                std::vector<BlockRead>& reads) const {
  for (const FilePiece& piece : At(layer, expert).pieces) {
    for (int64_t done = 0; done < piece.bytes; done += kMostReadBytes) {
      const int64_t bytes = std::min(kMostReadBytes, piece.bytes - done);
      reads.push_back({.tag = tag,
                       .file = piece.file,
                       .offset = piece.offset + done,
                       .bytes = bytes,
                       .needed = std::min(bytes, piece.needed - done),
                       .to = slot + piece.slot_offset + done});
    }
  }
}

void ExpertFileMap::Rebase(int32_t layer, int32_t expert, const std::byte* slot, ExpertView& gate_up,
                           ExpertView& down) const {
  const Place& place = At(layer, expert);
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  gate_up = w.gate_up[static_cast<size_t>(expert)];
  down = w.down[static_cast<size_t>(expert)];
  const std::byte** pointers[kParts] = {
      &gate_up.values, &gate_up.scales, &gate_up.bias.data, &gate_up.up_values, &gate_up.up_bias.data,
      &down.values,    &down.scales,    &down.bias.data,    &down.up_values,    &down.up_bias.data};
  for (int i = 0; i < kParts; ++i) {
    if (*pointers[i] != nullptr) *pointers[i] = slot + place.slot_offset[i];
  }
}

}  // namespace oxidized
