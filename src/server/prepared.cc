#include "server/prepared.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "server/api_error.h"
#include "server/request_body.h"

namespace oxidized::server {
namespace {

constexpr size_t kMostStops = 16;
constexpr size_t kMostStopBytes = 1024;
constexpr double kLeastTopP = 1e-6;  // 0 means the most likely token alone
constexpr double kMostPenaltyFactor = 1e3;

uint64_t RandomSeed() {
  static thread_local std::random_device device;
  return (uint64_t{device()} << 32 | device()) >> 11;
}

}  // namespace

void ReadCommonFields(const RequestObject& request, PreparedRequest& prepared, AnswerOptions& options) {
  SamplingParams& sampling = options.sampling;
  sampling.temperature = request.Number("temperature", 0, 2).value_or(1.0);
  sampling.top_p = std::max(kLeastTopP, request.Number("top_p", 0, 1).value_or(1.0));
  sampling.top_k =
      static_cast<int32_t>(std::max(int64_t{0}, request.Integer("top_k", -1, 1 << 24).value_or(0)));
  sampling.min_p = request.Number("min_p", 0, 1).value_or(0.0);
  sampling.presence_penalty = request.Number("presence_penalty", -2, 2).value_or(0.0);
  sampling.frequency_penalty = request.Number("frequency_penalty", -2, 2).value_or(0.0);
  sampling.repetition_penalty =
      request.Number("repetition_penalty", 1 / kMostPenaltyFactor, kMostPenaltyFactor).value_or(1.0);
  const auto seed = request.Integer("seed", INT64_MIN, INT64_MAX);
  sampling.seed = seed ? static_cast<uint64_t>(*seed) : RandomSeed();

  if (const OrderedJson* stop = request.Find("stop")) {
    options.stop_strings = OneOrMoreStrings(*stop, "stop", kMostStops);
    for (const std::string& text : options.stop_strings) {
      if (text.size() > kMostStopBytes) Refuse("stop", "holds a string of more than 1024 bytes");
    }
  }

  prepared.model_name = request.String("model").value_or("");
  prepared.stream = request.Bool("stream").value_or(false);
  if (const auto how = request.Object("stream_options")) {
    if (!prepared.stream) Refuse("stream_options", "means something only beside stream: true");
    prepared.include_usage = how->Bool("include_usage").value_or(false);
  }
}

}  // namespace oxidized::server
