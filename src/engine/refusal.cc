#include "engine/refusal.h"

#include <algorithm>

namespace oxidized {
namespace {

bool Sane(const SamplingParams& p) {
  return p.temperature >= 0.0 && p.top_k >= 0 && p.top_p > 0.0 && p.top_p <= 1.0 && p.min_p >= 0.0 &&
         p.min_p <= 1.0 && p.repetition_penalty > 0.0;
}

constexpr double kMostCapacity = 1e9;  // far above any that limits anything

bool Sane(const RoutingPolicy& p, int32_t num_experts) {
  return p.strategy != nullptr && p.experts_per_token >= 0 && p.experts_per_token <= num_experts &&
         p.num_experts >= 0 &&
         (!p.capacity_factor || (*p.capacity_factor > 0.0 && *p.capacity_factor <= kMostCapacity));
}

bool Knows(const ExecutorAbilities& can, const RoutingStrategy* rule) {
  return can.routing_rules.empty() ||
         std::find(can.routing_rules.begin(), can.routing_rules.end(), rule) != can.routing_rules.end();
}

// The first thing that the request asks for and the device lacks; nullptr: nothing.
const char* Lacking(const Request& r, const ExecutorAbilities& can) {
  const bool logprobs = r.top_logprobs >= 0 || r.score_prompt;
  const struct {
    bool wanted, can;
    const char* what;
  } wishes[] = {
      {true, Knows(can, r.routing.strategy), "this routing rule"},
      {r.routing.strategy->DependsOnStep(r.routing), can.capacity, "a capacity of experts"},
      {!r.routing_observers.empty(), can.routing, "observing the routing"},
      {WantsRouterLogits(r), can.router_logits, "the routers' logits"},
      {r.mask != nullptr || MayMask(r), can.masks, "a mask of tokens"},
      {r.sampling.needs_history(), can.penalties, "penalties of tokens"},
      {logprobs, can.top_logprobs >= 0, "log-probabilities"},
      {r.top_logprobs > 0, can.top_logprobs >= r.top_logprobs, "so many log-probabilities of a token"},
      {r.logits != nullptr, can.logits_sinks, "rows of logits"},
      {r.taps != nullptr, can.taps, "taps"},
      {r.adapter >= 0, can.adapters > 0, "adapters"},
  };
  for (const auto& wish : wishes) {
    if (wish.wanted && !wish.can) return wish.what;
  }
  return nullptr;
}

std::optional<RequestError> Refuse(ErrorKind kind, std::string message, Setting setting = Setting::kNone) {
  return RequestError{kind, std::move(message), setting};
}

}  // namespace

bool WantsRouterLogits(const Request& request) {
  return std::any_of(request.routing_observers.begin(), request.routing_observers.end(),
                     [](const RoutingObserver* observer) { return observer->wants_logits(); });
}

bool MayMask(const Request& request) {
  return request.controller != nullptr && request.controller->MayMask();
}

std::optional<RequestError> RefusalOf(const Request& request, const ExecutorInfo& info) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0) return Refuse(ErrorKind::kUsage, "the prompt has no tokens");
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= info.vocab_size) {
      return Refuse(ErrorKind::kUsage,
                    fmt::format("token id {} is outside the model's vocabulary of {}", id, info.vocab_size));
    }
  }
  if (prompt + (request.max_new_tokens > 0 ? 1 : 0) > info.max_context) {
    return Refuse(ErrorKind::kContextFull,
                  fmt::format("the prompt has {} tokens, the context holds {}", prompt, info.max_context),
                  Setting::kContext);
  }
  if (request.max_new_tokens < 0 || !Sane(request.sampling))
    return Refuse(ErrorKind::kUsage, "a sampling parameter is out of range");
  if (!Sane(request.routing, info.num_experts))
    return Refuse(ErrorKind::kUsage, "a routing parameter is out of range");
  try {
    if (const char* what = Lacking(request, info.can)) {
      return Refuse(ErrorKind::kUnsupported,
                    fmt::format("the {} executor cannot do what the request asks for: {}", info.name, what));
    }
  } catch (const std::exception& failure) {
    return Refuse(ErrorKind::kRequestFailed, failure.what());
  } catch (...) {
    return Refuse(ErrorKind::kRequestFailed, "an exception of unknown type");
  }
  if (request.adapter < -1 || (request.adapter >= 0 && request.adapter >= info.can.adapters)) {
    return Refuse(ErrorKind::kUsage,
                  fmt::format("adapter {} was asked for, there are {}", request.adapter, info.can.adapters));
  }
  return std::nullopt;
}

}  // namespace oxidized
