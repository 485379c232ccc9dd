// Where each expert lies in the model's files, and where its parts come to lie in a slot of the pool: pieces
// to read, and views of what was read. No bytes are touched. Used by ExpertStore, the planner and read-ahead.
//
// An expert is several parts (blocks, scales, biases; gate and up apart in some formats) of one or more
// tensors. A part is read as the aligned range that covers it; parts that share a page are read as one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/mapped_file.h"
#include "experts/block_reader.h"
#include "model/weights.h"

namespace oxidized {

struct FilePiece {
  int32_t file = 0;
  int64_t offset = 0;  // aligned
  int64_t bytes = 0;   // aligned
  int64_t needed = 0;  // up to the end of the last part, or of the file
  int64_t slot_offset = 0;
};

class ExpertFileMap {
 public:
  // `weights` must outlive this; `files` need not. Views whose bytes are in no mapped file (decoded when
  // the model was opened) are experts that simply stay where they are: stored() is false.
  ExpertFileMap(const WeightsView& weights, std::span<const MappedFile> files);

  int32_t num_layers() const { return num_layers_; }
  int32_t num_experts() const { return num_experts_; }  // the most that a layer has
  int64_t all_experts() const { return all_experts_; }  // of all layers
  bool stored(int32_t layer, int32_t expert) const { return !At(layer, expert).pieces.empty(); }
  int64_t num_stored() const { return num_stored_; }
  // Stored size of all stored experts.
  int64_t stored_bytes() const { return stored_bytes_; }
  // A slot holds any expert: aligned, a little more than the largest one.
  int64_t slot_bytes() const { return slot_bytes_; }

  std::span<const FilePiece> pieces(int32_t layer, int32_t expert) const { return At(layer, expert).pieces; }
  // Appends what has to be read to fill a slot; every read carries `tag`.
  void AppendReads(int32_t layer, int32_t expert, uint64_t tag, std::byte* slot,
                   std::vector<BlockRead>& reads) const;
  // The expert's views, now of the bytes in `slot`.
  void Rebase(int32_t layer, int32_t expert, const std::byte* slot, ExpertView& gate_up,
              ExpertView& down) const;

  const std::vector<std::filesystem::path>& files() const { return paths_; }
  const std::vector<int64_t>& file_sizes() const { return sizes_; }
  // The bytes of all stored experts, where they are mapped.
  std::span<const std::span<const std::byte>> stored_parts() const { return stored_parts_; }

 private:
  static constexpr int kParts = 10;  // values, scales, bias, up values, up bias of gate_up, then of down
  struct Place {
    std::vector<FilePiece> pieces;
    int64_t slot_offset[kParts] = {};  // of the part itself
  };
  const Place& At(int32_t layer, int32_t expert) const {
    return places_[static_cast<size_t>(layer) * static_cast<size_t>(num_experts_) +
                   static_cast<size_t>(expert)];
  }
  void Locate(const ExpertView& gate_up, const ExpertView& down, std::span<const MappedFile> files,
              Place& place);

  const WeightsView& weights_;
  int32_t num_layers_ = 0, num_experts_ = 0;
  int64_t all_experts_ = 0, num_stored_ = 0, stored_bytes_ = 0, slot_bytes_ = 0;
  std::vector<Place> places_;  // [L * E]; nothing is stored of experts that a layer does not have
  std::vector<std::span<const std::byte>> stored_parts_;
  std::vector<std::filesystem::path> paths_;
  std::vector<int64_t> sizes_;
};

}  // namespace oxidized
