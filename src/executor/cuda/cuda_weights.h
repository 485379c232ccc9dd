// A model's weights on a card: laid out once, for planning as for use, then uploaded and packed there. What
// is stored in fewer bits than its form on the card holds is exact there; nothing is rounded:
//
//   stored                      on the card
//   MXFP4 in any order          units of MXFP4; as bf16 where a scale byte lies beyond kMostScale
//   BF16                        one bf16
//   F16                         two, whose sum it is
//   F32, Q8_0                   three
//   vectors, router             f32
//   embedding                   as stored; Q8_0 as f32
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cuda/runtime/runtime.h"
#include "kernels/cuda/step_args.h"
#include "model/weights.h"
#include "tensor/precision.h"

namespace oxidized::cuda {

// kAuto: of what the unembedding is stored in.
Arithmetic ArithmeticOf(Precision precision, const WeightsView& weights);

struct WeightBytes {
  int64_t dense = 0, experts = 0;  // of the card
};

class DeviceWeights {
 public:
  // Where everything will lie. `look`: at scales, which decide the form of experts; without, they are taken
  // for usual ones, as values may not be there yet.
  DeviceWeights(const ModelConfig& config, const WeightsView& weights, Arithmetic arithmetic,
                int64_t max_context, bool look);

  WeightBytes bytes() const { return bytes_; }
  // Takes the card's memory and fills it. `progress` (bytes of it done, in all) may be empty and may throw.
  void Upload(Stream& stream, const std::vector<KvGroupArgs>& kv,
              const std::function<void(int64_t done, int64_t total)>& progress);

  const ModelArgs& model() const { return model_; }  // pointers into the card, after Upload
  const ModelArgs* on_card() const { return model_on_card_; }
  std::vector<const Matrix*> matrices() const;  // all of them, for shapes
  const LayerArgs& layer(int32_t l) const { return layers_[static_cast<size_t>(l)].args; }
  const ExpertArgs& expert(int32_t l, int32_t e) const {
    return layers_[static_cast<size_t>(l)].experts[static_cast<size_t>(e)];
  }
  int64_t DenseBytesOfStep() const { return bytes_.dense - embedding_bytes_; }

 private:
  void LayOut();
  void FillSmall();
  struct LayerPlace {
    LayerArgs args = {};
    std::vector<ExpertArgs> experts;
    ExpertArgs* experts_on_card = nullptr;
  };

  const ModelConfig& config_;
  const WeightsView& weights_;
  const int64_t max_context_;
  const bool look_;
  ModelArgs model_ = {};
  std::vector<LayerPlace> layers_;
  ModelArgs* model_on_card_ = nullptr;
  LayerArgs* layers_on_card_ = nullptr;
  int64_t embedding_bytes_ = 0;
  WeightBytes bytes_;

  // Small things are put together on the host and copied at once; matrices are packed on the card.
  uint8_t* small_base_ = nullptr;
  uint8_t* large_base_ = nullptr;
  int64_t small_bytes_ = 0, large_bytes_ = 0;
  std::vector<uint8_t> small_;
  DeviceMemory small_memory_, large_memory_;
};

}  // namespace oxidized::cuda
