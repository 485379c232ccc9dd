// Where an executor gets the experts of a layer from: all of them in memory (ResidentExperts below), or a
// store that reads them when asked (experts/expert_store.h). The executor sees only this.
//
// One request at a time, from one thread: Request, then TakeReady until it returns nothing. Experts come in
// any order, what is there first and what has to be read as it arrives, so that products hide the reading.
// The outputs of a token's experts are combined by rank, so the order cannot change a bit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/weights.h"

namespace oxidized {

struct ReadyExpert {
  int32_t index;  // in the request's list
  const ExpertView* gate_up;
  const ExpertView* down;
};

class ExpertSource {
 public:
  virtual ~ExpertSource() = default;

  // Distinct experts of one layer, ascending, as many as there are: with room for fewer they come in several
  // portions. The list is the order of reading, and for the rules of eviction the order of use. What is left
  // of an earlier request is given up.
  virtual void Request(int32_t layer, std::span<const int32_t> experts) = 0;

  // Further experts of the request, at least one; none when all were taken. They stay where they are until
  // the next call of TakeReady or Request. Waits for a read if it must; throws Error(kRequestFailed) when one
  // failed, which ends the request and nothing else.
  virtual std::span<const ReadyExpert> TakeReady() = 0;

  // Whether a guess at the next layer's experts would be of use.
  virtual bool wants_prefetch() const = 0;
  // Experts that the next request, of `layer`, will probably ask for, the likeliest first. Never waits.
  virtual void Prefetch(int32_t layer, std::span<const int32_t> experts) = 0;
};

// Every expert is in memory, or in a mapping that the kernel fills. Remembers when an expert was last used,
// so that the pages of long unused ones can be let go (experts/cleaner.h).
class ResidentExperts final : public ExpertSource {
 public:
  // `weights` must outlive this.
  explicit ResidentExperts(const WeightsView& weights);

  void Request(int32_t layer, std::span<const int32_t> experts) override;
  std::span<const ReadyExpert> TakeReady() override;
  bool wants_prefetch() const override { return false; }
  void Prefetch(int32_t, std::span<const int32_t>) override {}

  // Requests of layer 0 so far: steps.
  int64_t steps() const { return steps_; }
  // The step that last used an expert; 0: none yet.
  int64_t last_use(int32_t layer, int32_t expert) const {
    return last_use_[static_cast<size_t>(layer)][static_cast<size_t>(expert)];
  }

 private:
  const WeightsView& weights_;
  std::vector<std::vector<int64_t>> last_use_;  // [L][E]
  std::vector<ReadyExpert> ready_;
  bool taken_ = true;
  int64_t steps_ = 0;
};

}  // namespace oxidized
