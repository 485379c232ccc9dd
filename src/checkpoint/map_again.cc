#include "checkpoint/map_again.h"

#include <algorithm>
#include <map>

#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

template <typename Visit>  // visit(pointer, bytes)
void VisitPointers(VectorView& v, Visit visit) {
  if (v.data != nullptr) visit(v.data, StoredBytes(v.dtype, v.size));
}

template <typename Visit>
void VisitPointers(ExpertView& e, Visit visit) {
  const int64_t values = e.value_bytes();
  if (e.values != nullptr) visit(e.values, values);
  if (e.up_values != nullptr) visit(e.up_values, values);
  if (e.scales != nullptr) visit(e.scales, e.rows * (e.cols / kMxfp4BlockElements));
  VisitPointers(e.bias, visit);
  VisitPointers(e.up_bias, visit);
}

template <typename Visit>
void VisitPointers(WeightsView& weights, Visit visit) {
  const auto matrix = [&](MatrixView& m) {
    if (m.data != nullptr) visit(m.data, m.bytes());
  };
  matrix(weights.embedding);
  matrix(weights.unembedding);
  VisitPointers(weights.final_norm, visit);
  for (LayerWeights& w : weights.layers) {
    for (MatrixView* m : {&w.q, &w.k, &w.v, &w.o, &w.router}) matrix(*m);
    for (VectorView* v : {&w.attention_norm, &w.q_bias, &w.k_bias, &w.v_bias, &w.sinks, &w.o_bias,
                          &w.mlp_norm, &w.router_bias})
      VisitPointers(*v, visit);
    for (auto* experts : {&w.gate_up, &w.down}) {
      for (ExpertView& e : *experts) VisitPointers(e, visit);
    }
  }
}

bool LiesIn(const std::byte* data, std::span<const std::byte> bytes) {
  return data >= bytes.data() && data < bytes.data() + bytes.size();
}

}  // namespace

Checkpoint MapAgain(const Checkpoint& checkpoint) {
  Checkpoint copy;
  copy.config = checkpoint.config;
  copy.weights = checkpoint.weights;
  copy.format = checkpoint.format;
  copy.path = checkpoint.path;
  for (const MappedFile& file : checkpoint.files) copy.files.push_back(file.MapAgain());
  // The same place in the other mapping; nullptr: it lies in no file.
  const auto moved = [&](const std::byte* data) -> const std::byte* {
    for (size_t i = 0; i < copy.files.size(); ++i) {
      const auto from = checkpoint.files[i].bytes();
      if (LiesIn(data, from)) return copy.files[i].bytes().data() + (data - from.data());
    }
    return nullptr;
  };
  const DecodedTensors& decoded = checkpoint.decoded;
  copy.decoded.tensors = decoded.tensors;
  copy.decoded.stored_bytes = decoded.stored_bytes;
  copy.decoded.bytes = decoded.bytes;
  copy.decoded.ms = decoded.ms;
  for (const auto& source : decoded.sources)
    copy.decoded.sources.emplace_back(moved(source.data()), source.size());

  std::map<const std::byte*, const std::byte*> copies;  // tied weights stay tied
  VisitPointers(copy.weights, [&](const std::byte*& data, int64_t bytes) {
    if (const std::byte* in_file = moved(data)) {
      data = in_file;
      return;
    }
    if (std::any_of(decoded.owner.begin(), decoded.owner.end(),
                    [&](const AlignedBuffer<std::byte>& owner) { return LiesIn(data, owner.span()); }))
      return;
    const std::byte*& own = copies[data];
    if (own == nullptr) {
      AlignedBuffer<std::byte>& buffer =
          copy.decoded.owner.emplace_back("weights", MemoryClass::kWeights, static_cast<size_t>(bytes));
      std::copy_n(data, bytes, buffer.data());
      own = buffer.data();
    }
    data = own;
  });
  return copy;
}

}  // namespace oxidized
