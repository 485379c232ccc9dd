// What a model is asked and what it answers: plain data, and the handle of an answer that is being written.
// Texts are UTF-8; what is not becomes U+FFFD. Times are microseconds.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "oxidized/error.h"

namespace oxidized {
OXIDIZED_INLINE namespace v1 {

using Tokens = std::vector<std::int32_t>;  // ids of the model's vocabulary, 0 to ModelInfo::vocabulary - 1

// --- A conversation.

enum class Role { kSystem, kDeveloper, kUser, kAssistant, kTool };
enum class Effort { kLow, kMedium, kHigh };

// One message. Those of an answer (Answer::messages) are put back as they are.
struct Message {
  Role role = Role::kUser;
  std::string text = {};          // of a call its arguments, JSON
  std::string name = {};          // of a tool that answers: "functions.get_weather"
  std::string recipient = {};     // of a call: "functions.get_weather"; of a tool's answer: "assistant"
  std::string channel = {};       // of the assistant: "analysis" (reasoning), "commentary" (calls), "final"
  std::string content_type = {};  // of a call: "<|constrain|>json"

  bool is_call() const { return role == Role::kAssistant && !recipient.empty(); }
};
OXIDIZED_API Message UserMessage(std::string text);
// What the call `call` gave, for the model to go on with.
OXIDIZED_API Message ToolMessage(const Message& call, std::string text);

struct Function {         // that the model may call; who runs it is the caller of Generate
  std::string name = {};  // "get_weather"; calls go to "functions.get_weather"
  std::string description = {};
  std::string parameters = {};  // JSON schema of its one argument; empty: it takes none
};

struct Chat {
  std::string instructions = {};             // empty: none
  std::optional<std::string> identity = {};  // first line of the system message; nullopt: the one of training
  std::optional<std::string> date = {};      // "2026-01-31"; nullopt: none is told
  Effort effort = Effort::kMedium;
  std::vector<Function> functions = {};
  std::vector<Message> messages = {};  // the last is usually the user's or a tool's
};

// --- A request.

struct Routing {                       // anything but the defaults changes the model's answers
  std::string strategy = "topk";       // "topk", "switch", "expert1"
  std::int32_t experts_per_token = 0;  // K; 0: the model's
  std::int32_t num_experts = 0;        // only the first so many may be chosen; 0: all
  // Most choices that an expert takes in a step, 1 being an even share; nullopt: the rule's own.
  std::optional<double> capacity_factor = {};
};

struct Request {
  // A conversation to answer; a text to go on with, in which special tokens may be spelled out; or its ids.
  std::variant<Chat, std::string, Tokens> prompt = {};
  std::int64_t max_tokens = 512;  // new ones at most; 0: the prompt is read and nothing written
  double temperature = 1.0;       // 0: the most likely token, whatever follows here
  double top_p = 1.0;             // (0, 1]
  std::int32_t top_k = 0;         // 0: off
  double min_p = 0.0;             // [0, 1]
  double repetition_penalty = 1.0, presence_penalty = 0.0, frequency_penalty = 0.0;
  std::uint64_t seed = 0;                  // the same seed, the same text, whatever runs beside it
  std::vector<std::string> stop = {};      // the answer ends before any of these
  std::int64_t max_reasoning_tokens = -1;  // of a chat: then the answer is made to begin; negative: no limit
  std::int32_t top_logprobs = -1;          // alternatives with each token; negative: no log-probabilities
  Routing routing = {};
};

// --- An answer.

struct Delta {  // text that came; some at a time, whole characters
  enum class Kind { kReasoning, kAnswer, kCallName, kCallArguments };
  Kind kind;
  std::string text = {};  // of kCallName the recipient
};

enum class End {
  kStop,         // the model was done
  kToolCall,     // it calls a function: the last message of the answer
  kNoAnswer,     // it was done without an answer or a call
  kStopString,   // one of Request::stop
  kLength,       // max_tokens
  kContextFull,  // no position or no KV memory left
  kCancelled,    // by the caller
  kError,        // Answer::error says why
};
OXIDIZED_API const char* Name(End end);  // "stop", "tool_call", ...

struct Token {
  struct Alternative {
    std::int32_t id;
    float logprob;
  };
  std::int32_t id;
  bool forced;                        // by max_reasoning_tokens: not sampled, logprob 0
  float logprob;                      // nats; 0 unless asked for
  std::vector<Alternative> top = {};  // most likely first
};

// Of one layer. A token makes K choices; tokens of a prompt that were there already make none.
struct LayerRouting {
  std::vector<std::int64_t> counts = {};  // [experts of the layer] choices that each served
  std::int64_t tokens = 0;
  std::int64_t dropped = 0, rerouted = 0;  // choices, under a capacity
  double max_over_mean = 0.0;              // of counts; 1: even, the number of experts: all on one
  double variation = 0.0;                  // standard deviation over mean; 0: even
  double evenness = 0.0;  // entropy of the shares, as a part of the highest; 1: even, 0: all on one
};
struct RoutingStats {
  std::vector<LayerRouting> prefill = {}, decode = {};  // [layers] each
};

struct Answer {
  std::string text = {};               // what the model says; of a raw prompt all that it wrote
  std::string reasoning = {};          // of a chat
  std::vector<Message> messages = {};  // of a chat: to go behind Chat::messages for the next turn
  std::vector<Token> tokens = {};      // all that were generated
  End end = End::kStop;
  std::optional<Error> error = {};                    // only of GenerateMany
  std::int64_t prompt_tokens = 0, reused_tokens = 0;  // of the prompt, those whose KV was there already
  double queue_us = 0.0;                              // from Start to the first step
  double prefill_us = 0.0;                            // from there to the end of the prompt
  double decode_us = 0.0;                             // from there to the end
  RoutingStats routing = {};
};

// An answer that is being written. Its model's engine goes on whether or not anybody reads. For one reader
// at a time, except Cancel; it keeps its model alive, and must be gone before main ends.
class OXIDIZED_API Generation {
 public:
  Generation(Generation&&) noexcept;
  Generation& operator=(Generation&&) noexcept;
  ~Generation();  // cancels what still runs
  // The next piece of text; waits for it. nullopt: the answer is complete.
  std::optional<Delta> Next();
  // The pieces that are here; never waits. Empty and done(): the answer is complete.
  std::vector<Delta> Poll();
  bool done() const;
  void Cancel();  // at the next step; from any thread
  // Waits for the end; the whole answer, also what Next and Poll gave. Once. Throws Error if the engine
  // ended it.
  Answer Finish();

 private:
  friend class Model;
  struct Impl;
  explicit Generation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace oxidized
