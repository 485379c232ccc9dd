// Everything that the reports show of a conversation (or of a whole run): sums of the last request and of
// all, the window, the course over time. An observer to be handed to each request; one thread.
#pragma once

#include "base/memory_registry.h"
#include "moe/routing_window.h"

namespace oxidized {

inline constexpr int32_t kRoutingWindowTokens = 1024;

class RoutingCollector final : public RoutingObserver {
 public:
  explicit RoutingCollector(const RoutingShape& shape, int32_t window_tokens = kRoutingWindowTokens);

  // Another request begins: what was last() joins the rest.
  void BeginRequest();
  void OnRows(const ObservedRows& rows) override;

  const RoutingShape& shape() const { return shape_; }
  const RoutingStats& last() const { return last_; }
  RoutingStats Total() const;  // of all requests, the last included
  const RoutingWindow& window() const { return window_; }
  const RoutingTimeline& timeline() const { return timeline_; }

 private:
  RoutingShape shape_;
  RoutingStats before_, last_;
  RoutingWindow window_;
  RoutingTimeline timeline_;
  MemoryRegistration memory_;
};

}  // namespace oxidized
