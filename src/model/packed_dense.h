// The dense bf16 matrices of a model in 12 bits a value (tensor/packed_bf16.h): what decoding reads a quarter
// faster. Packed here, into memory of their own and by a pass over the weights, or views of a file that holds
// them so (checkpoint/packed_file.h). Read by cpu_executor.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/aligned_buffer.h"
#include "model/weights.h"
#include "parallel/thread_team.h"
#include "tensor/packed_bf16.h"

namespace oxidized {

// A matrix that may be packed: one in BF16 whose rows are whole blocks.
struct DenseMatrix {
  int32_t index;  // q, k, v, o of layer 0 are 0 to 3, of layer 1 4 to 7, …; the unembedding is last
  const MatrixView* matrix;
};
std::string NameOfDense(int32_t index, size_t num_layers);  // "layer 3's q"

class PackedDense {
 public:
  using Progress = std::function<void(int64_t done, int64_t total)>;  // stored bytes; may be empty

  struct Packed {
    PackedBf16View view;
    int64_t num_escapes = 0;
    int64_t bytes = 0;                                 // of all that the view shows
    AlignedBuffer<std::byte> data = {}, escapes = {};  // owner of these; empty: somebody else is
  };

  PackedDense() = default;  // nothing packed
  // Packs those of Candidates which become smaller by a tenth at least. Throws Error(kNoMemory).
  PackedDense(const WeightsView& weights, ThreadTeam& team, const Progress& progress);

  // q, k, v, o of every layer and the unembedding, where they may be packed; ascending.
  static std::vector<DenseMatrix> Candidates(const WeightsView& weights);
  // Throws Error(kUsage) where there are none, so that packing would do nothing.
  static void RequireCandidates(const WeightsView& weights);
  // The least that a matrix takes packed: with no block kept aside.
  static int64_t LeastBytes(const MatrixView& matrix);
  // Whether packing is worth the memory.
  static bool Pays(const MatrixView& matrix, int64_t packed_bytes);

  void Add(const MatrixView& stored, Packed packed);

  // The packed form of a matrix, by where its values lie; nullptr: it was not packed.
  const Packed* Of(const MatrixView& matrix) const;
  const PackedBf16View* Find(const MatrixView& matrix) const;
  // What one product of the matrix reads.
  int64_t ReadBytes(const MatrixView& matrix) const;

  int64_t stored_bytes() const { return stored_bytes_; }  // of the matrices that were packed
  int64_t packed_bytes() const { return packed_bytes_; }

 private:
  static Packed Pack(const MatrixView& matrix, ThreadTeam& team);

  std::unordered_map<const std::byte*, Packed> packed_;
  int64_t stored_bytes_ = 0, packed_bytes_ = 0;
};

// Stored values that no product reads: those of packed matrices, but for an embedding that is tied, whose
// rows are looked up.
std::vector<std::span<const std::byte>> UnreadBesidePacked(const WeightsView& weights,
                                                           const PackedDense& packed);

}  // namespace oxidized
