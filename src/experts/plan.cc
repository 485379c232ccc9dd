#include "experts/plan.h"

#include <algorithm>

namespace oxidized {

MemoryPlan MakePlan(const PlanInput& in) {
  MemoryPlan plan;
  const int64_t others = in.dense_bytes + in.kv_bytes + in.activation_bytes + in.heap_bytes;
  plan.pool_bytes = in.slots * in.slot_bytes;
  plan.needed_bytes = others + (in.slots > 0 ? in.own_expert_bytes + plan.pool_bytes : in.expert_bytes);
  plan.fits = plan.needed_bytes <= in.available_bytes;
  plan.everything_fits = others + in.expert_bytes <= in.available_bytes;
  if (in.slot_bytes > 0) {
    const int64_t room = in.available_bytes - others - in.own_expert_bytes;
    const int64_t slots = std::min(room / in.slot_bytes, in.experts - in.own_experts);
    plan.fitting_slots = slots >= in.least_slots ? slots : 0;
  }

  const auto share = [](double part, double whole) {
    return whole > 0.0 ? std::clamp(part / whole, 0.0, 1.0) : 1.0;
  };
  const int64_t mapped_experts = in.expert_bytes - in.own_expert_bytes;
  const double hits_of_others =
      in.slots > 0 ? share(static_cast<double>(in.slots), static_cast<double>(in.experts - in.own_experts))
                   : share(static_cast<double>(in.available_bytes - others - in.own_expert_bytes),
                           static_cast<double>(mapped_experts));
  const double own_share = in.own_expert_bytes > 0 ? share(static_cast<double>(in.own_expert_bytes),
                                                           static_cast<double>(in.expert_bytes))
                                                   : 0.0;
  plan.hit_rate = own_share + (1.0 - own_share) * hits_of_others;
  plan.disk_bytes_per_token = (1.0 - plan.hit_rate) * static_cast<double>(in.decode_expert_bytes);
  // Without room for the dense weights, these are read again for every token too.
  const int64_t beside = in.kv_bytes + in.activation_bytes + in.heap_bytes + plan.pool_bytes +
                         in.own_dense_bytes + in.own_expert_bytes;
  const int64_t mapped_dense = in.dense_bytes - in.own_dense_bytes;
  if (mapped_dense > 0) {
    const double missing =
        1.0 - share(static_cast<double>(in.available_bytes - beside), static_cast<double>(mapped_dense));
    plan.disk_bytes_per_token += missing * static_cast<double>(in.decode_dense_bytes) *
                                 static_cast<double>(mapped_dense) / static_cast<double>(in.dense_bytes);
  }

  const double from_memory = static_cast<double>(in.decode_dense_bytes + in.decode_expert_bytes);
  double seconds = 0.0;
  if (in.memory_bytes_per_s > 0.0) seconds += from_memory / in.memory_bytes_per_s;
  if (in.disk_bytes_per_s > 0.0) seconds += plan.disk_bytes_per_token / in.disk_bytes_per_s;
  plan.tokens_per_s = seconds > 0.0 ? 1.0 / seconds : 0.0;
  return plan;
}

}  // namespace oxidized
