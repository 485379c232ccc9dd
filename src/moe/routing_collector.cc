#include "moe/routing_collector.h"

namespace oxidized {

RoutingCollector::RoutingCollector(const RoutingShape& shape, int32_t window_tokens)
    : shape_(shape),
      before_(RoutingStats::Detailed(shape)),
      last_(RoutingStats::Detailed(shape)),
      window_(shape, window_tokens),
      timeline_(shape),
      memory_("routing window", MemoryClass::kOther, window_.bytes()) {}

void RoutingCollector::BeginRequest() {
  before_.Add(last_);
  last_ = RoutingStats::Detailed(shape_);
}

void RoutingCollector::OnRows(const ObservedRows& rows) {
  last_.Add(rows);
  window_.OnRows(rows);
  timeline_.OnRows(rows);
}

RoutingStats RoutingCollector::Total() const {
  RoutingStats total = before_;
  total.Add(last_);
  return total;
}

}  // namespace oxidized
