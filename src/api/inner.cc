#include "api/inner.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "chat/opening.h"
#include "chat/routing_fit.h"
#include "moe/routing_metrics.h"
#include "parallel/cpu_topology.h"

namespace oxidized::v1 {
namespace {

// --- What is asked for.

template <typename Number>
void CheckRange(const char* member, Number value, Number low, Number high) {
  if (value < low || value > high)
    Fail(oxidized::ErrorKind::kUsage, "{}: {}, expected {} to {}", member, value, low, high);
}

[[noreturn]] void NoneOf(const char* member, const std::string& value, const std::string& words) {
  Fail(oxidized::ErrorKind::kUsage, "{}: '{}', expected {}", member, EscapeUnprintable(value), words);
}

std::optional<std::string> IfAny(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

oxidized::Message Inner(const Message& message) {
  oxidized::Message inner(static_cast<oxidized::Role>(message.role), message.text);
  inner.name = IfAny(message.name);
  inner.recipient = IfAny(message.recipient);
  inner.channel = IfAny(message.channel);
  inner.content_type = IfAny(message.content_type);
  return inner;
}
static_assert(static_cast<int>(Role::kTool) == static_cast<int>(oxidized::Role::kTool));
static_assert(static_cast<int>(Effort::kHigh) == static_cast<int>(ReasoningEffort::kHigh));

RoutingPolicy Inner(const Routing& routing, const ModelConfig& config) {
  RoutingPolicy policy{.strategy = FindRoutingStrategy(routing.strategy),
                       .experts_per_token = routing.experts_per_token,
                       .num_experts = routing.num_experts,
                       .capacity_factor = routing.capacity_factor};
  if (policy.strategy == nullptr) {
    std::string names;
    for (const RoutingStrategy* strategy : RoutingStrategies())
      names += (names.empty() ? "" : "|") + std::string(strategy->name());
    NoneOf("routing.strategy", routing.strategy, names);
  }
  CheckRange("routing.num_experts", routing.num_experts, 0, config.most_experts());
  CheckRange("routing.experts_per_token", routing.experts_per_token, 0, config.most_experts());
  const RoutingFit fit = FitRouting(policy, config);
  if (!fit.fits()) {
    Fail(oxidized::ErrorKind::kUsage,
         "routing: a token uses {} experts, expected at most {}, those that may be chosen",
         fit.experts_per_token, fit.usable_experts);
  }
  return policy;
}

// --- What comes back.

std::vector<LayerRouting> Outer(const std::vector<oxidized::LayerRouting>& layers) {
  std::vector<LayerRouting> outer;
  outer.reserve(layers.size());
  for (const oxidized::LayerRouting& layer : layers) {
    const LoadBalance balance = BalanceOf(layer.counts);
    outer.push_back({.counts = layer.counts,
                     .tokens = layer.tokens,
                     .dropped = layer.dropped,
                     .rerouted = layer.rerouted,
                     .max_over_mean = balance.max_over_mean,
                     .variation = balance.variation,
                     .evenness = balance.entropy});
  }
  return outer;
}

Message Outer(const oxidized::Message& message) {
  return {.role = static_cast<Role>(message.role),
          .text = message.Text(),
          .name = message.name.value_or(""),
          .recipient = message.recipient.value_or(""),
          .channel = message.channel.value_or(""),
          .content_type = message.content_type.value_or("")};
}

Token Outer(const GeneratedToken& token) {
  Token outer{.id = token.token, .forced = token.forced, .logprob = token.logprob, .top = {}};
  for (const TokenLogprob& top : token.top) outer.top.push_back({.id = top.token, .logprob = top.logprob});
  return outer;
}

// In the order of the enumeration.
constexpr const char* kEnds[] = {"stop",   "tool_call",    "no_answer", "stop_string",
                                 "length", "context_full", "cancelled", "error"};

End EndNamed(const std::string& name) {
  const auto found = std::find(std::begin(kEnds), std::end(kEnds), name);
  OX_CHECK(found != std::end(kEnds));
  return static_cast<End>(found - std::begin(kEnds));
}

}  // namespace

const char* Name(End end) { return kEnds[static_cast<size_t>(end)]; }

Message UserMessage(std::string text) {
  Message message;
  message.text = std::move(text);
  return message;
}

Message ToolMessage(const Message& call, std::string text) {
  return {.role = Role::kTool,
          .text = std::move(text),
          .name = call.recipient,
          .recipient = std::string(oxidized::Name(oxidized::Role::kAssistant)),
          .channel = std::string(kCommentaryChannel),
          .content_type = ""};
}

RuntimeOptions Inner(const OpenOptions& options) {
  constexpr int64_t kMost = 1 << 30;
  RuntimeOptions runtime;
  if (options.model_path.empty())
    Fail(oxidized::ErrorKind::kUsage, "model_path: empty, expected a file, a folder, or hf:org/name");
  runtime.model_path = options.model_path;
  runtime.tokenizer_path = options.tokenizer_path;
  runtime.text = static_cast<TextParts>(options.text);
  runtime.speculation = SpeculationOptions::Auto();

  const auto device = ParseDeviceChoice(options.device);
  if (!device) NoneOf("device", options.device, DeviceWords());
  runtime.choice = *device;
  const auto precision = ParsePrecision(options.precision);
  if (!precision) NoneOf("precision", options.precision, "auto|f32|bf16|f16");
  runtime.device.precision = *precision;
  if (options.activations == "int8") {
    runtime.device.activations = ActivationType::kInt8;
  } else if (options.activations != "auto") {
    NoneOf("activations", options.activations, "auto|int8");
  }
  CheckRange("threads", options.threads, 0, 1024);
  CheckRange<int64_t>("context", options.context, 0, kMost);
  CheckRange("max_sequences", options.max_sequences, 1, 4096);
  CheckRange<int64_t>("kv_tokens", options.kv_tokens, 0, kMost);
  runtime.device.threads = std::min<int32_t>(options.threads, DetectCpuTopology().UsableCpus());
  runtime.device.limits.max_context = options.context;
  runtime.device.limits.max_sequences = options.max_sequences;
  runtime.device.limits.kv_tokens = options.kv_tokens;
  if (!options.expert_memory.empty()) {
    runtime.device.experts.budget = ParseExpertBudget(options.expert_memory);
    if (!runtime.device.experts.budget)
      NoneOf("expert_memory", options.expert_memory, "an amount like 4GiB, 500MB, 123456789 or 25%");
  }
  runtime.device.use_mmap = options.use_mmap;
  runtime.device.pack_dense = options.pack_weights;
  runtime.device.read_ahead = true;
  return runtime;
}
static_assert(static_cast<int>(Text::kTokens) == static_cast<int>(TextParts::kTokens) &&
              static_cast<int>(Text::kChat) == static_cast<int>(TextParts::kChat));

Conversation Inner(const Chat& chat) {
  OpeningOptions opening{.instructions = chat.instructions,
                         .model_identity = chat.identity,
                         .reasoning_effort = static_cast<ReasoningEffort>(chat.effort),
                         .date = chat.date};
  for (const Function& function : chat.functions) {
    opening.functions.push_back({.name = function.name,
                                 .description = function.description,
                                 .parameters_json = IfAny(function.parameters)});
  }
  Conversation conversation = OpeningMessages(opening);
  for (const Message& message : chat.messages) conversation.messages.push_back(Inner(message));
  return conversation;
}

AnswerRequest Inner(const Request& request, const Runtime& runtime) {
  const ModelConfig& config = runtime.checkpoint().config;
  AnswerOptions options{.max_new_tokens = request.max_tokens,
                        .sampling = {.temperature = request.temperature,
                                     .top_k = request.top_k,
                                     .top_p = request.top_p,
                                     .min_p = request.min_p,
                                     .repetition_penalty = request.repetition_penalty,
                                     .presence_penalty = request.presence_penalty,
                                     .frequency_penalty = request.frequency_penalty,
                                     .seed = request.seed},
                        .stop_strings = request.stop,
                        .max_reasoning_tokens = request.max_reasoning_tokens,
                        .routing = Inner(request.routing, config),
                        .mask = runtime.sampling_mask()};
  AnswerRequest answer;
  if (const auto* chat = std::get_if<Chat>(&request.prompt)) {
    answer = ChatRequest(Inner(*chat), runtime.tokenizer(), runtime.harmony(), options);
  } else if (const auto* raw = std::get_if<std::string>(&request.prompt)) {
    answer = RawRequest(*raw, runtime.tokenizer(), config.eos_token_ids, options);
  } else {
    answer = RawRequest(std::get<Tokens>(request.prompt), runtime.tokenizer(), config.eos_token_ids, options);
  }
  answer.request.top_logprobs = request.top_logprobs;
  return answer;
}

Progress::Stage Outer(PrepareStage stage) {
  switch (stage) {
    case PrepareStage::kPacking:
      return Progress::Stage::kPacking;
    case PrepareStage::kComparing:
      return Progress::Stage::kComparing;
    case PrepareStage::kReading:
      return Progress::Stage::kReading;
    case PrepareStage::kArranging:
      return Progress::Stage::kArranging;
  }
  return Progress::Stage::kReading;
}

ModelInfo Outer(const Runtime& runtime) {
  const Checkpoint& checkpoint = runtime.checkpoint();
  const ExecutorInfo& executor = runtime.loop().info();
  return {.path = checkpoint.path.string(),
          .format = checkpoint.format,
          .device = executor.device,
          .precision = executor.precision,
          .layers = executor.num_layers,
          .experts = executor.num_experts,
          .experts_per_token = executor.experts_per_token,
          .vocabulary = executor.vocab_size,
          .context = executor.max_context,
          .load_us = runtime.load_ms() * 1e3};
}

Delta Outer(oxidized::Delta delta) {
  return {.kind = static_cast<Delta::Kind>(delta.kind), .text = std::move(delta.text)};
}
static_assert(static_cast<int>(Delta::Kind::kReasoning) ==
                  static_cast<int>(oxidized::Delta::Kind::kReasoning) &&
              static_cast<int>(Delta::Kind::kCallArguments) ==
                  static_cast<int>(oxidized::Delta::Kind::kCallArguments));

Answer Outer(const AnswerStream& stream, const AnswerParser& parser) {
  const RequestStats& stats = stream.finished()->stats;
  Answer answer;
  answer.text = parser.answer();
  answer.reasoning = parser.reasoning();
  for (const oxidized::Message& message : parser.Messages()) answer.messages.push_back(Outer(message));
  for (const GeneratedToken& token : stream.tokens()) answer.tokens.push_back(Outer(token));
  answer.end = EndNamed(stream.end());
  answer.prompt_tokens = stats.prompt_tokens;
  answer.reused_tokens = stats.reused_tokens;
  answer.queue_us = stats.queue_us;
  answer.prefill_us = stats.prefill_us;
  answer.decode_us = stats.decode_us;
  answer.routing = {.prefill = Outer(stats.routing.phase(RoutingPhase::kPrefill)),
                    .decode = Outer(stats.routing.phase(RoutingPhase::kDecode))};
  return answer;
}

}  // namespace oxidized::v1
