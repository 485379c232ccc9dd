// The bytes of a layout's tensors from a source of weights: moved as they are where the stored type stays,
// MXFP4 blocks between the orders of nibbles, everything else through f32 with the error measured. The
// function behind a WritePlan of convert and synth; thread safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "rewrite/tensor_layout.h"
#include "rewrite/weight_source.h"

namespace oxidized {

// What rounding to another stored type did to a group of values.
struct RoundingError {
  int64_t values = 0;   // that went through a conversion that can round
  int64_t changed = 0;  // of them
  double max_abs = 0.0;
  double squared_error = 0.0, squared_values = 0.0;
  std::string worst;  // the tensor with the largest error

  double RelativeRms() const;  // root of the mean squared error over that of the values
  void Add(const RoundingError& other);
};

class TensorEncoder {
 public:
  TensorEncoder(const WeightSource& source, std::vector<LayoutTensor> layout);

  // Bytes [offset, offset + out.size()) of the tensor of this name, whole rows of it. Throws
  // Error(kUnsupported) when a value is not finite and the type cannot hold that, or becomes so.
  void Fill(const std::string& name, int64_t offset, std::span<std::byte> out);

  const std::vector<LayoutTensor>& layout() const { return layout_; }
  RoundingError dense_error() const;
  RoundingError expert_error() const;

 private:
  void FillDense(const LayoutTensor& tensor, int64_t first, int64_t count, std::byte* out,
                 RoundingError& error) const;
  void FillExperts(const LayoutTensor& tensor, int64_t first, int64_t count, std::byte* out,
                   RoundingError& error) const;

  const WeightSource& source_;
  const std::vector<LayoutTensor> layout_;
  std::map<std::string, const LayoutTensor*, std::less<>> by_name_;
  mutable std::mutex mutex_;
  RoundingError dense_error_, expert_error_;
};

}  // namespace oxidized
