// A request of a client, understood: what the engine is asked, once for each answer, and how the answers are
// to be written. Made on the worker's thread from JSON (chat_request.h, completion_request.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/answer_request.h"
#include "model_host/loaded_model.h"

namespace oxidized::server {

// What requests are made with, beside their own fields.
struct RequestContext {
  std::shared_ptr<const LoadedModel> model;
  RoutingPolicy routing;
  int64_t max_context = 0;
  int32_t most_top_logprobs = -1;   // of the executor (ExecutorAbilities::top_logprobs)
  std::optional<std::string> date;  // for the system message
};

struct PreparedRequest {
  std::string model_name;  // as the client wrote it; "" if it did not
  bool stream = false;
  bool include_usage = false;
  bool reasoning_shown = true;
  bool calls_allowed = false;              // functions are declared, and may be called
  int32_t top_logprobs = -1;               // shown of each token; negative: none
  std::vector<std::string> functions;      // declared, without namespace
  std::vector<std::string> skipped_tools;  // types of tools that are not run here
  std::vector<AnswerRequest> answers;      // of each prompt in turn, its n answers
  int64_t answers_of_a_prompt = 1;
};

// The fields that every route of generation has: what is in both tables of fields.h under the same name.
class RequestObject;
void ReadCommonFields(const RequestObject& request, PreparedRequest& prepared, AnswerOptions& options);

// The same request for n answers: with seeds one after the other. `make`: makes one with these options.
template <typename Make>
void AddAnswers(PreparedRequest& prepared, AnswerOptions options, int64_t n, Make make) {
  for (int64_t i = 0; i < n; ++i, ++options.sampling.seed) prepared.answers.push_back(make(options));
}

}  // namespace oxidized::server
