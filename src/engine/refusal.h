// Why a request can never run on a device: what Engine::Submit refuses, so that no step fails for it. From
// any thread; asks the request's controller and observers what they are going to want.
#pragma once

#include <optional>

#include "engine/request.h"
#include "executor/executor.h"

namespace oxidized {

// kUsage: out of range; kContextFull; kUnsupported: more than the device's ExecutorAbilities; kRequestFailed:
// its own controller or observer threw.
std::optional<RequestError> RefusalOf(const Request& request, const ExecutorInfo& info);

// Whether one of the request's observers wants the routers' logits.
bool WantsRouterLogits(const Request& request);
// Whether its controller may give masks.
bool MayMask(const Request& request);

}  // namespace oxidized
