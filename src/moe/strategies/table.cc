// The rules that can be asked for, in the order that help shows them. A new one: its file beside this, a
// declaration and a row here.
#include "moe/routing_policy.h"

namespace oxidized {

const RoutingStrategy& SwitchRouting();
const RoutingStrategy& Expert1Routing();

std::span<const RoutingStrategy* const> RoutingStrategies() {
  static const RoutingStrategy* const rows[] = {
      &TopKRouting(),
      &SwitchRouting(),
      &Expert1Routing(),
  };
  return rows;
}

}  // namespace oxidized
