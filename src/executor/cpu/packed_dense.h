// The dense bf16 matrices of a model in 12 bits a value (tensor/packed_bf16.h): what decoding reads a quarter
// faster, for memory of its own and a pass over the weights. Made once, by cpu_executor.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "base/aligned_buffer.h"
#include "model/weights.h"
#include "parallel/thread_team.h"
#include "tensor/packed_bf16.h"

namespace oxidized {

class PackedDense {
 public:
  using Progress = std::function<void(int64_t done, int64_t total)>;  // stored bytes; may be empty
  using Replaced = std::function<void(const MatrixView&)>;            // may be empty

  PackedDense() = default;  // nothing packed
  // Packs q, k, v, o of every layer and the unembedding: those in BF16 whose rows are whole blocks and which
  // become smaller by a tenth at least. `replaced` is told of each whose stored values no product reads any
  // more. Throws Error(kNoMemory).
  PackedDense(const WeightsView& weights, ThreadTeam& team, const Progress& progress,
              const Replaced& replaced);

  // What would be tried: those in BF16 whose rows are whole blocks.
  static std::vector<const MatrixView*> Candidates(const WeightsView& weights);

  // The packed form of a matrix, by where its values lie; nullptr: it was not packed.
  const PackedBf16View* Find(const MatrixView& matrix) const;
  // What one product of the matrix reads.
  int64_t ReadBytes(const MatrixView& matrix) const;

  int64_t stored_bytes() const { return stored_bytes_; }  // of the matrices that were packed
  int64_t packed_bytes() const { return packed_bytes_; }

 private:
  struct Packed {
    AlignedBuffer<std::byte> blocks, escapes;
    AlignedBuffer<uint64_t> escaped;
    AlignedBuffer<uint32_t> first_escape;
    PackedBf16View view;
    int64_t bytes = 0;
  };
  static Packed Pack(const MatrixView& matrix, ThreadTeam& team);

  std::unordered_map<const std::byte*, Packed> packed_;
  int64_t stored_bytes_ = 0, packed_bytes_ = 0;
};

}  // namespace oxidized
